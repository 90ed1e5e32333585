"""The model that is loaded now: asked for once in a while, waited for while the guard is away."""

from __future__ import annotations

import asyncio

from omniguard.errors import Retryable
from omniguard.guard.wire import Capabilities
from omniguard.ports import Clock, GuardModel

FRESH_SECONDS = 30.0
PAUSE_SECONDS = 0.5


class LoadedModel:
    """Capabilities, shared by all events. A label that names another digest makes them stale at once."""

    def __init__(self, guard: GuardModel, clock: Clock) -> None:
        """Nothing is asked before the first event needs it."""
        self._guard, self._clock = guard, clock
        self._asking = asyncio.Lock()
        self._known: Capabilities | None = None
        self._asked_at = float("-inf")

    async def capabilities(self) -> Capabilities:
        """Wait until the guard has said what it takes; the event's own deadline ends the wait.

        While the guard is away the last answer serves, so that cached assessments are still found.
        """
        async with self._asking:
            while self._known is None or self._clock.monotonic() - self._asked_at > FRESH_SECONDS:
                try:
                    self._known = await self._guard.capabilities()
                    self._asked_at = self._clock.monotonic()
                except Retryable:
                    if self._known is not None:
                        self._asked_at = self._clock.monotonic()  # ask again later, not on every event
                        return self._known
                    await asyncio.sleep(PAUSE_SECONDS)
            return self._known

    def forget(self) -> None:
        """Ask again before the next event."""
        self._asked_at = float("-inf")
