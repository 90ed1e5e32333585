"""An event's place in the window."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from omniguard.domain.record import Record

if TYPE_CHECKING:
    from omniguard.stages.window import Window


class Slot:
    """What the window and an event's handler tell each other of it."""

    def __init__(self, window: Window, record: Record, attempts: int) -> None:
        """Made by `Window.submit` alone."""
        self._window = window
        self._weight = record.size
        self.record = record
        self.attempts = attempts
        self.left = asyncio.Event()
        self.hurry = asyncio.Event()
        """The window is closing: what still runs behind the verdict should end itself now."""
        self.rests = False
        """Waits for its turn or for better times, and holds no more than its record: it takes no room among the events."""
        self.began = False
        """The handler has it: before, it only waited for its turn."""
        self.owes = False
        """A verdict is on its way that promises a record of its own: cut off now, nobody else would keep the promise."""
        self.superseded = False
        """A deletion of the same content came in behind: publish nothing more about it but why."""

    def weigh(self, size: int) -> None:
        """Count `size` bytes of media against the window until the event leaves it. Never waits: intake stops instead.

        No event counts for more than half of the window: the media of a long film must not close it to everybody else.
        """
        if not self.left.is_set():
            weight = min(self.record.size + size, max(self.record.size, self._window.heaviest))
            self._window.resize(weight - self._weight)
            self._weight = weight

    def progress(self) -> None:
        """Tell liveness that a long event still moves."""
        self._window.progress()

    def resting(self) -> AbstractAsyncContextManager[None]:
        """For a block in which the event only waits: it takes no room, so that what cannot go on for a day keeps nobody out."""
        return self._window.rest(self)

    def leave(self) -> None:
        """The verdict is acknowledged: make room, and let the next event of this key run."""
        if not self.left.is_set():
            self.left.set()
            self._window.count(-1)
            self._window.resize(-self._weight)
