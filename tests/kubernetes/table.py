"""The table of docs/cluster.md: a test notes what it measured, `make cluster-table` writes it down.

`note` adds one JSON line to the file that CLUSTER_MEASURED names and prints it; of several runs the last one stands.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from kubernetes.uploads import Outcome

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"
BEGIN, END = "<!-- cluster: begin -->", "<!-- cluster: end -->"
_HEAD = "| step | what was done | took | uploads | lost | indeterminate | duplicates | slowest verdict | first verdict after |"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of one run; durations in seconds, None where they do not apply. `took` is the step's own, as its text says."""

    name: str
    done: str
    took: float
    events: int | None = None
    indeterminate: int | None = None
    duplicates: int | None = None
    slowest: float | None = None
    first: float | None = None

    @classmethod
    def of(cls, name: str, done: str, took: float, outcome: Outcome) -> Step:
        """A step under a stream of uploads of which none was lost."""
        return cls(name, done, took, outcome.events, outcome.indeterminate, outcome.duplicates, outcome.slowest, outcome.first)


def note(step: Step) -> None:
    """Print a measured step and append it to $CLUSTER_MEASURED."""
    line = json.dumps({name: value for name, value in asdict(step).items() if value is not None}, ensure_ascii=False)
    print(f"\nmeasured: {line}", flush=True)
    if named := os.environ.get("CLUSTER_MEASURED"):
        Path(named).parent.mkdir(parents=True, exist_ok=True)
        with Path(named).open("a") as lines:
            lines.write(f"{line}\n")


def table(steps: list[Step]) -> str:
    """Steps as Markdown."""
    rows = [
        f"| {s.name} | {s.done} | {_seconds(s.took)} | {_count(s.events)} | {_count(None if s.events is None else 0)} "
        f"| {_count(s.indeterminate)} | {_count(s.duplicates)} | {_seconds(s.slowest)} | {_seconds(s.first)} |"
        for s in steps
    ]
    return "\n".join([_HEAD, "|---|---|--:|--:|--:|--:|--:|--:|--:|", *rows]) + "\n"


def main(measured: str, page: Path = PAGE) -> None:
    """Write the last run of every step between the page's markers.

    Raises:
        ValueError: the page lacks a marker.

    """
    last = {step.name: step for step in (Step(**json.loads(line)) for line in Path(measured).read_text().splitlines())}
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"found no {BEGIN} … {END} in {page}, expected both on lines of their own")
    page.write_text(f"{before}{BEGIN}\n{table(list(last.values()))}{END}{after}")


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


if __name__ == "__main__":
    main(sys.argv[1])
