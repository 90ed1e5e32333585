"""A labelled text, and the sets of our own that ship beside the engine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from omniguard.errors import Misconfigured

DATA = Path(__file__).parent.parent / "data"


@dataclass(frozen=True, slots=True)
class Row:
    """`labels` are our category names; empty means harmless. `group` keeps rows of one prompt in one fold."""

    text: str
    labels: frozenset[str]
    source: str
    group: str

    @property
    def harmful(self) -> bool:
        """True if any category applies."""
        return bool(self.labels)


def own(name: str) -> list[Row]:
    """Rows of `data/<name>.jsonl`, written for this project.

    Raises:
        Misconfigured: a line is not `{"id", "text", "labels"}`.

    """
    return read_jsonl(DATA / f"{name}.jsonl", name)


def read_jsonl(file: Path, source: str) -> list[Row]:
    """Rows of a JSONL file of `{"id": str, "text": str, "labels": [str]}`.

    Raises:
        Misconfigured: a line is not of that form.

    """
    rows = []
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
                rows.append(Row(entry["text"], frozenset(entry["labels"]), source, f"{source}/{entry['id']}"))
            except (ValueError, KeyError, TypeError) as error:
                found = f"{type(error).__name__}: {error}"
                raise Misconfigured(
                    f'{file.name}, line {number}: {found}; expected {{"id": …, "text": …, "labels": […]}}'
                ) from error
    return rows
