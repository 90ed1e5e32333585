"""For how long intake waited, and for what."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

Limit = Literal["events", "bytes", "open", "alone"]


class Waits:
    """Seconds that records waited for room, by the limit that was reached; what waits now counts up to now."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Nothing waits."""
        self._monotonic = monotonic
        self._over: dict[Limit, float] = {}
        self._running: dict[object, tuple[Limit, float]] = {}

    @contextmanager
    def counted(self, limit: Limit) -> Iterator[None]:
        """Count the block, as it goes on, against `limit`."""
        key, began = object(), self._monotonic()
        self._running[key] = limit, began
        try:
            yield
        finally:
            del self._running[key]
            self._over[limit] = self._over.get(limit, 0.0) + self._monotonic() - began

    @property
    def seconds(self) -> Mapping[Limit, float]:
        """Since the start of the process; never less than before."""
        found, now = dict(self._over), self._monotonic()
        for limit, began in self._running.values():
            found[limit] = found.get(limit, 0.0) + now - began
        return found
