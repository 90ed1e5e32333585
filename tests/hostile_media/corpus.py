"""The corpus: every family of hostile files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from hostile_media import bombs, broken, odd, references, times, truncated
from hostile_media.case import Case

FAMILIES: dict[str, Callable[[Path, str], Iterator[Case]]] = {
    truncated.FAMILY: lambda folder, target: truncated.cases(folder),
    odd.FAMILY: lambda folder, target: odd.cases(folder),
    broken.FAMILY: lambda folder, target: broken.cases(folder),
    times.FAMILY: lambda folder, target: times.cases(folder),
    references.FAMILY: references.cases,
    bombs.FAMILY: lambda folder, target: bombs.cases(folder),
}


def corpus(folder: Path, target: str) -> Iterator[Case]:
    """Every file, made in `folder` where an encoder needs one. `target` is an address or a file that no file may open."""
    for family in FAMILIES.values():
        yield from family(folder, target)
