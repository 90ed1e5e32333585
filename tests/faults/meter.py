"""How far a long run has come: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LINES = 20


class Meter:
    """Use as a context manager."""

    def __init__(self, total: int) -> None:
        self._total, self._shown, self._began = total, 0, time.monotonic()
        console = Console(file=sys.__stderr__)
        self._terminal = console.is_terminal
        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
        )
        self._progress = Progress(*columns, console=console, disable=not self._terminal)
        self._task = self._progress.add_task("", total=total)

    def __enter__(self) -> Meter:
        self._progress.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._progress.stop()

    def show(self, ended: int, did: Mapping[str, int]) -> None:
        """Events ended, and how often what was done."""
        said = ", ".join(f"{name} {times}" for name, times in did.items())
        self._progress.update(self._task, completed=ended, description=said)
        part = ended * _LINES // self._total
        if not self._terminal and part > self._shown:
            self._shown = part
            print(f"{ended:,} of {self._total:,} events after {time.monotonic() - self._began:.0f} s; {said}", flush=True)
