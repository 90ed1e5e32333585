"""How an engine gets on: when something last left it, and how long its answers take. Used on the service's loop alone."""

from __future__ import annotations

import math
import time
import uuid
from collections import deque
from collections.abc import Iterable

from omniguard.guard.wire import StatusEvent, Waiting

__all__ = ["Pace"]

_KEPT = 512
"""Answers that the 99th percentile is of."""


class Pace:
    """What `StatusEvent` tells."""

    def __init__(self) -> None:
        """Nothing has left yet."""
        self._process = uuid.uuid4().hex[:12]
        self._moved_at = time.monotonic()
        self._answered = 0
        self._compute_ms: deque[float] = deque(maxlen=_KEPT)

    def moved(self) -> None:
        """An event of an answer left, or the first request came in."""
        self._moved_at = time.monotonic()

    def answered(self, compute_ms: float | None) -> None:
        """A request was answered to its end; None where its time tells nothing of others, as a canary's."""
        self._answered += 1
        if compute_ms is not None:
            self._compute_ms.append(compute_ms)

    def status(
        self, held: int, canary: tuple[float, float | None] | None, waiting: Iterable[tuple[int, float]] = ()
    ) -> StatusEvent:
        """Now. `canary` is since when it is where it is, and when it was begun; `waiting` each request's priority and arrival.

        Times are on the monotonic clock.
        """
        now = time.monotonic()
        return StatusEvent(
            held=held,
            process=self._process,
            answered=self._answered,
            silent_ms=(now - self._moved_at) * 1000 if held else 0.0,
            canary="none" if canary is None else "waiting" if canary[1] is None else "computing",
            canary_ms=0.0 if canary is None else (now - canary[0]) * 1000,
            p99_ms=_p99(self._compute_ms),
            waiting=_waiting(waiting, now),
        )


def _waiting(requests: Iterable[tuple[int, float]], now: float) -> tuple[Waiting, ...]:
    arrivals: dict[int, list[float]] = {}
    for priority, arrived in requests:
        arrivals.setdefault(priority, []).append(arrived)
    return tuple(
        Waiting(priority=priority, requests=len(each), oldest_ms=(now - min(each)) * 1000)
        for priority, each in sorted(arrivals.items())
    )


def _p99(values: deque[float]) -> float:
    """Nearest rank; 0 without values."""
    return sorted(values)[math.ceil(len(values) * 0.99) - 1] if values else 0.0
