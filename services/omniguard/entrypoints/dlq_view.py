"""Dead letters in a terminal, and as JSON. Keys, headers and values come from outside: all of it is shown as untrusted text."""

from __future__ import annotations

import base64
from collections import Counter, deque
from datetime import datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from omniguard.entrypoints.console import print_json, table, untrusted
from omniguard.entrypoints.dlq_replay import Replayed
from omniguard.entrypoints.letters import Letter

NO_LETTER = "no dead letter"
_KEY_SHOWN = 60
_REFUSALS_SHOWN = 20
_WIDE = 120
"""Columns of a terminal from which a letter fits into a row."""


class Listing:
    """Counts every letter, and keeps the heads of the newest `rows`: no values, so that its size is bounded."""

    def __init__(self, rows: int) -> None:
        """Nothing counted yet."""
        self._counts: Counter[tuple[str, str]] = Counter()
        self._newest: dict[tuple[str, str], datetime] = {}
        self._rows: dict[int, deque[dict[str, Any]]] = {}
        self._limit = rows

    def add(self, letter: Letter) -> None:
        """Count a letter; those of one partition come in their order."""
        kind = _kind(letter)
        self._counts[kind] += 1
        self._newest[kind] = max(letter.record.timestamp, self._newest.get(kind, letter.record.timestamp))
        kept = self._rows.setdefault(letter.record.partition.number, deque(maxlen=self._limit))
        kept.append({**_head(letter), "written": letter.record.timestamp})

    def data(self) -> dict[str, Any]:
        """For programs."""
        return {
            "total": self._counts.total(),
            "classes": [
                {"error": error, "stage": stage, "count": count, "newest": self._newest[error, stage]}
                for (error, stage), count in self._counts.most_common()
            ],
            "letters": self._shown(),
        }

    def show(self) -> None:
        """For people."""
        console = Console()
        if not self._counts:
            console.print("no dead letters")
            return
        classes = table("error", "stage", Column("count", justify="right"), "newest")
        for (error, stage), count in self._counts.most_common():
            classes.add_row(_word(error), _word(stage), str(count), _time(self._newest[error, stage]))
        console.print(classes)
        rows = self._shown()
        if not rows:
            return
        caption = f"the newest {len(rows)} of {self._counts.total()}; one of them: omniguard dlq show {rows[-1]['letter']}"
        if console.width < _WIDE:
            for row in rows:
                console.print(_lines(row))
            console.print(caption, style="dim italic", highlight=False)
            return
        shown = table(Column("letter", no_wrap=True), "written", "key", "error", "stage", "tries", "from", "reason")
        for row in rows:
            shown.add_row(
                row["letter"],
                _time(row["written"]),
                _word(row["key"], _KEY_SHOWN),
                _word(row["error"]),
                _word(row["stage"]),
                str(row.get("attempts", "")),
                _word(_origin(row)),
                _word(row.get("reason", "")),
            )
        shown.caption = caption
        console.print(shown)

    def _shown(self) -> list[dict[str, Any]]:
        """The newest of all partitions, the newest last."""
        every = sorted((row for rows in self._rows.values() for row in rows), key=lambda row: row["written"])
        return every[-self._limit :] if self._limit else []


def details(letter: Letter, *, payload: bool) -> dict[str, Any]:
    """One letter; what the user sent only with `payload`."""
    record = letter.record
    found: dict[str, Any] = {
        **_head(letter),
        "written": record.timestamp,
        "value_bytes": None if record.value is None else len(record.value),
        "headers": {name: {"bytes": len(value)} for name, value in letter.received.items()},
    }
    if payload:
        found["value"] = None if record.value is None else _readable(record.value)
        found["headers"] = {name: _readable(value) for name, value in letter.received.items()}
    return found


def show_letter(letter: Letter, *, payload: bool) -> None:
    """One letter in a terminal."""
    console = Console()
    found = details(letter, payload=payload)
    shown = Table(Column(style="bold", no_wrap=True), Column(overflow="fold"), box=None, show_header=False)
    for name, value in found.items():
        if name not in ("headers", "value") and value != "":
            shown.add_row(name.replace("_", " "), _time(value) if isinstance(value, datetime) else _word(str(value)))
    for name, content in found["headers"].items():
        text = content if isinstance(content, str) else content.get("base64", f"{content.get('bytes', 0)} bytes")
        shown.add_row(Text.assemble("header ", _word(name)), _word(text))
    console.print(shown)
    if payload and record_text(found["value"]):
        console.print(untrusted(record_text(found["value"])), soft_wrap=True)
    elif not payload:
        console.print("the value, and what the headers hold, is user content: --payload shows it", style="dim")


def record_text(value: str | dict[str, str] | None) -> str:
    """A value as `details` gives it, in one text."""
    return value["base64"] if isinstance(value, dict) else value or ""


def show_replayed(done: Replayed, *, dry_run: bool, as_json: bool) -> None:
    """What a replay did."""
    if as_json:
        print_json({"dry_run": dry_run, "replayed": done.sent, "refused": done.refused, "interrupted": done.interrupted})
        return
    console = Console()
    for topic, count in done.sent.items():
        console.print(untrusted(f"{'would replay' if dry_run else 'replayed'} {count} to {topic}", lines=False))
    if not done.sent:
        console.print("nothing to replay" if done.complete else "nothing was replayed")
    for place, why in list(done.refused.items())[:_REFUSALS_SHOWN]:
        console.print(untrusted(f"refused {place}: {why}", "red", lines=False), soft_wrap=True)
    if (more := len(done.refused) - _REFUSALS_SHOWN) > 0:
        console.print(f"and {more} more; --json lists all", style="red")
    if done.interrupted:
        console.print("interrupted: the same call may be run again, replaying twice is harmless", style="red")


def _head(letter: Letter) -> dict[str, Any]:
    key = (letter.record.key or b"").decode(errors="replace")
    error, stage = _kind(letter)
    ours = {} if letter.headers is None else letter.headers.model_dump(exclude={"error", "stage"})
    return {"letter": letter.place, "key": key, "tenant": letter.tenant, "error": error, "stage": stage, **ours}


def _kind(letter: Letter) -> tuple[str, str]:
    return (NO_LETTER, "") if letter.headers is None else (letter.headers.error, letter.headers.stage)


def _readable(content: bytes) -> str | dict[str, str]:
    """Text where it is text."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def _origin(row: dict[str, Any]) -> str:
    return f"{row['origin_topic']}/{row['origin_partition']}/{row['origin_offset']}" if "origin_topic" in row else ""


def _lines(row: dict[str, Any]) -> Padding:
    """A letter where a row of the table has no room: what is wrong in its first line, whose and where from below it."""
    at, tries = f" at {row['stage']}" if row["stage"] else "", f", try {row['attempts']}" if "attempts" in row else ""
    head = Text.assemble((row["letter"], "bold"), f"  {_time(row['written'])}  ", _word(f"{row['error']}{at}{tries}"))
    origin = _origin(row)
    below = [_word(row["key"], _KEY_SHOWN), _word(f"from {origin}" if origin else ""), _word(row.get("reason", ""))]
    lines: list[RenderableType] = [head, *(Padding(line, (0, 0, 0, 2)) for line in below if line.plain)]
    return Padding(Group(*lines), (0, 0, 1, 0))


def _word(text: str, longest: int = 1000) -> Text:
    return untrusted(text if len(text) <= longest else f"{text[: longest - 1]}…", lines=False)


def _time(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ")
