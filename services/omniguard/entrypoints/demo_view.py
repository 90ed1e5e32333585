"""What the demo shows: a table that fills while answers arrive, and the same table, whole and judged, at its end."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from omniguard.contracts.critique import CritiqueData
from omniguard.contracts.verdict import VerdictData
from omniguard.entrypoints import show
from omniguard.entrypoints.answers import Letter
from omniguard.entrypoints.console import untrusted

_SHOWN_CRITIQUE = 160
"""Characters of a critique in the last table; `--json` and `omniguard watch` show all of it."""
_CRITIQUE = "italic dim"


@dataclass(slots=True)
class Row:
    """One sample and what came of it. `seconds` is from publication to verdict, or to the dead letter where there is no verdict.

    `wrong` says how the answer differs from the expected one: None while it is open, empty where it is right.
    """

    name: str
    title: str
    verdict: VerdictData | None = None
    critique: CritiqueData | None = None
    letter: Letter | None = None
    seconds: float | None = None
    wrong: str | None = None


class View:
    """A live table in a terminal, lines elsewhere."""

    def __init__(self, console: Console, began: float | None = None) -> None:
        """Shows nothing until it is entered. Times are from `began` on the monotonic clock, else from now."""
        self._console = console
        self._heard: list[Row] = []
        self._doing = Spinner("dots", text=Text(""))
        self._began = time.monotonic() if began is None else began
        self._live = Live(console=console, get_renderable=self._picture, refresh_per_second=4, transient=True)
        self._terminal = console.is_terminal
        self._said = ""

    def __enter__(self) -> View:
        if self._terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        """What is being done now."""
        if self._terminal:
            self._doing.update(text=Text(text))
        elif text != self._said:
            self._said = text
            self._print(Text(f"{self._elapsed} {text}"))

    def progress(self, answered: int, samples: int) -> None:
        """How many answers are complete; lines show each of them anyway."""
        if self._terminal:
            self.say(f"{answered} of {samples} samples answered")

    def answered(self, row: Row) -> None:
        """An answer came to a row."""
        if self._terminal:
            self._heard = [each for each in self._heard if each is not row] + [row]
        else:
            self._print(Text.assemble(self._elapsed, " ", Text("  ").join(_line(row))))

    @property
    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._began:6.1f} s"

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True, highlight=False)

    def _picture(self) -> RenderableType:
        """What came last, as much of it as fits, above what is being done."""
        status = Table.grid(padding=(0, 1))
        status.add_row(self._doing, Text(self._elapsed, style="dim"))
        if not self._heard:
            return status
        drawn = Table("", "sample", "answer", "after", box=box.SIMPLE_HEAD, expand=True, show_edge=False, padding=(0, 1))
        drawn.columns[1].no_wrap = drawn.columns[3].no_wrap = True
        drawn.columns[2].ratio = 1
        for row in self._fitting(self._console.height - 8):
            drawn.add_row(_mark(row), Text(row.name, style="bold"), Group(*_brief(row)), _seconds(row.seconds))
        return Group(drawn, status)

    def _fitting(self, lines: int) -> list[Row]:
        chosen: list[Row] = []
        for row in reversed(self._heard):
            lines -= len(_brief(row))
            if lines < 0:
                break
            chosen.append(row)
        return chosen[::-1]


def table(rows: Iterable[Row]) -> Table:
    """Every sample with its whole answer; only long critiques are cut."""
    drawn = Table("", "sample", "answer", "after", box=box.SIMPLE_HEAD, expand=True, show_edge=False, padding=(0, 1))
    drawn.columns[2].ratio = 1
    for column in drawn.columns:
        column.overflow = "fold"
    rows = list(rows)
    drawn.columns[1].width = max((len(row.name) for row in rows), default=0)
    drawn.columns[3].no_wrap = True
    for row in rows:
        sample = Group(Text(row.name, style="bold"), Text(row.title, style="dim"))
        drawn.add_row(_mark(row), sample, Group(*_answer(row, _SHOWN_CRITIQUE)), _seconds(row.seconds))
    return drawn


def _brief(row: Row) -> list[Text]:
    """A row in one line, or two with its critique."""
    lines = list(_answer(row, None))
    first = _joined(*(line for line in lines if line.style != _CRITIQUE))
    brief = [first, *(line for line in lines if line.style == _CRITIQUE)]
    for line in brief:
        line.no_wrap, line.overflow = True, "ellipsis"
    return brief


def _mark(row: Row) -> Text:
    if row.wrong is None:
        return Text(" ")
    return Text("✗", style="bold red") if row.wrong else Text("✓", style="bold green")


def _answer(row: Row, critique: int | None) -> Iterable[Text]:
    if row.verdict is not None:
        yield _joined(
            show.answer(row.verdict), show.categories(row.verdict), show.where(row.verdict.segments), _cache(row.verdict)
        )
        for problem in row.verdict.problems[:1]:
            yield untrusted(problem.message, "dim", lines=False)
    if row.critique is not None:
        text = untrusted(show.critique_text(row.critique).plain, _CRITIQUE, lines=False)
        if critique is not None:
            text.truncate(critique, overflow="ellipsis")
        yield text
    if row.letter is not None:
        reason = "" if row.verdict is not None else f": {row.letter.headers.reason}"
        yield untrusted(f"dead letter{reason}", "cyan" if row.verdict is None else "dim cyan", lines=False)
    if row.wrong:
        yield untrusted(row.wrong, "red", lines=False)
    if row.verdict is None and row.letter is None and not row.wrong:
        yield Text("…", style="dim")


def _line(row: Row) -> list[Text]:
    return [Text(row.name, style="bold"), *_answer(row, None)]


def _joined(*texts: Text) -> Text:
    return Text("  ").join(text for text in texts if text.plain)


def _cache(verdict: VerdictData) -> Text:
    return Text("from the cache" if verdict.cache.hit else "", style="dim")


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f} s"
