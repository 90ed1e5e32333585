"""A circuit breaker: what failed several times in a row is left alone for a while, and then tried once."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class BreakerState(StrEnum):
    """Closed: tried as ever. Open: not tried. Half-open: one try is under way, and its end decides."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """`failures` in a row open it. Pauses double from the first to the longest (seconds); each is drawn between half and whole.

    A try that nothing was heard of for `probe_seconds` keeps nobody else from trying.
    """

    failures: int = 5
    first_pause: float = 0.2
    longest_pause: float = 2.0
    probe_seconds: float = 10.0


class Breaker:
    """Towards one server. Times are seconds on a monotonic clock, given by the caller; one event loop owns it."""

    def __init__(self, rules: BreakerRules, chance: Callable[[], float] = random.random) -> None:
        """`chance` draws from [0, 1): clients that lost the same server do not come back together."""
        self._rules, self._chance = rules, chance
        self._row = 0
        self._pause = rules.first_pause
        self._next = 0.0
        self.state = BreakerState.CLOSED

    def admits(self, now: float) -> bool:
        """Whether to try now. True while it is not closed makes this the one try: tell how it ended."""
        if self.state is BreakerState.CLOSED:
            return True
        if now < self._next:
            return False
        self.state, self._next = BreakerState.HALF_OPEN, now + self._rules.probe_seconds
        return True

    def wait(self, now: float) -> float:
        """Seconds until it may admit somebody."""
        return 0.0 if self.state is BreakerState.CLOSED else max(0.0, self._next - now)

    def hold(self, now: float) -> None:
        """Open it before anybody tried: the first try is its own, and may come at once."""
        self.state, self._next = BreakerState.OPEN, now

    def succeeded(self) -> None:
        """A try was answered, whenever it began: the server is there."""
        self.state, self._row, self._pause = BreakerState.CLOSED, 0, self._rules.first_pause

    def failed(self, now: float) -> None:
        """A try found nobody. One that began before the breaker opened tells nothing new."""
        self._row += 1
        if self.state is BreakerState.HALF_OPEN or (self.state is BreakerState.CLOSED and self._row >= self._rules.failures):
            self._open(now)

    def abandoned(self, now: float) -> None:
        """A try ended without telling anything: it was cancelled, or ran out of time."""
        if self.state is BreakerState.HALF_OPEN:
            self._open(now)

    def _open(self, now: float) -> None:
        self.state = BreakerState.OPEN
        self._next = now + self._pause * (1.0 + self._chance()) / 2
        self._pause = min(self._pause * 2, self._rules.longest_pause)
