"""The table of docs/reliability.md: a fault test notes what it measured, and this writes it down.

    table.note(Fault("redis", "flushed", "FLUSHALL under uploads", events=200, duplicates=3, first_seconds=0.1))

`note` adds one JSON line to the file that FAULTS_MEASURED names, as `make faults` does, and does nothing without it. Then

    make faults-table          or: PYTHONPATH=tests:services python -m faults.table out/faults.jsonl

replaces the rows of the same part and name in docs/reliability.jsonl by the new ones and writes the table between its markers.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
PARTS = ("worker", "kafka", "redis", "triton", "object store", "disk", "clock", "all")
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
HEAD = "| part | fault | what was done | runs | events | lost | duplicates | first verdict after | lag zero after |"


@dataclass(frozen=True, slots=True)
class Fault:
    """One run of one fault, or several runs as one row; durations in seconds.

    `events` are the records consumed, all lanes together; `duplicates` the verdicts that a redelivery published again under the
    same id. `first_seconds` is the time from the fault to the first verdict of an event sent after it (of several partitions, the
    slowest), `rest_seconds` the time to a lag of zero; None where that was not measured.
    """

    part: str
    name: str
    done: str
    events: int
    lost: int = 0
    duplicates: int = 0
    first_seconds: float | None = None
    rest_seconds: float | None = None
    runs: int = 1
    first_worst: float | None = None
    rest_worst: float | None = None

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise ValueError(f"found part {self.part!r}, expected one of {', '.join(PARTS)}")


def note(fault: Fault) -> None:
    """Append a measured fault to $FAULTS_MEASURED."""
    if named := os.environ.get("FAULTS_MEASURED"):
        into = Path(named)
        into.parent.mkdir(parents=True, exist_ok=True)
        with into.open("a") as lines:
            lines.write(_line(fault))


def read(path: Path) -> list[Fault]:
    """The rows of a file of JSON lines; none where there is no file."""
    return [Fault(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def fold(faults: Iterable[Fault]) -> list[Fault]:
    """One row for each part and name, in the order of PARTS: counts added, durations as their median and their largest."""
    by_name: dict[tuple[str, str], list[Fault]] = {}
    for each in faults:
        by_name.setdefault((each.part, each.name), []).append(each)
    rows = [_folded(same) for same in by_name.values()]
    return sorted(rows, key=lambda row: PARTS.index(row.part))


def table(rows: Iterable[Fault]) -> str:
    """Rows as Markdown."""
    lines = [HEAD, "|---|---|---|--:|--:|--:|--:|--:|--:|"]
    lines += [
        f"| {f.part} | {f.name} | {f.done} | {f.runs} | {f.events:,} | {f.lost} | {f.duplicates:,} "
        f"| {_seconds(f.first_seconds, f.first_worst)} | {_seconds(f.rest_seconds, f.rest_worst)} |"
        for f in rows
    ]
    return "\n".join(lines) + "\n"


def between(page: str, text: str) -> str:
    """The page with `text` between its markers.

    Raises:
        ValueError: the page lacks a marker.

    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"found no {BEGIN} … {END} in the page, expected both on lines of their own")
    return f"{before}{BEGIN}\n{text}{END}{after}"


def main(*measured: str, docs: Path = DOCS) -> None:
    """Replace measured rows, and write the table."""
    kept, page = docs / "reliability.jsonl", docs / "reliability.md"
    new = fold(row for path in measured for row in read(Path(path)))
    names = {(row.part, row.name) for row in new}
    rows = fold([row for row in read(kept) if (row.part, row.name) not in names] + new)
    kept.write_text("".join(map(_line, rows)))
    page.write_text(between(page.read_text(), table(rows)))


def _folded(same: list[Fault]) -> Fault:
    first = [f.first_seconds for f in same if f.first_seconds is not None]
    rest = [f.rest_seconds for f in same if f.rest_seconds is not None]
    return Fault(
        part=same[-1].part,
        name=same[-1].name,
        done=same[-1].done,
        events=sum(f.events for f in same),
        lost=sum(f.lost for f in same),
        duplicates=sum(f.duplicates for f in same),
        first_seconds=statistics.median(first) if first else None,
        rest_seconds=statistics.median(rest) if rest else None,
        runs=sum(f.runs for f in same),
        first_worst=max([*first, *(f.first_worst for f in same if f.first_worst is not None)], default=None),
        rest_worst=max([*rest, *(f.rest_worst for f in same if f.rest_worst is not None)], default=None),
    )


def _line(fault: Fault) -> str:
    return json.dumps({name: value for name, value in asdict(fault).items() if value is not None}, ensure_ascii=False) + "\n"


def _seconds(middle: float | None, worst: float | None) -> str:
    if middle is None:
        return "-"
    return f"{middle:.1f} s" if worst is None or worst - middle < 0.05 else f"{middle:.1f} s (at most {worst:.1f} s)"


if __name__ == "__main__":
    main(*sys.argv[1:])
