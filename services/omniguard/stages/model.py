"""The model that is loaded now: waited for before the first event, then asked about now and then behind the events' backs."""

from __future__ import annotations

import asyncio
import math

from omniguard.errors import Reason, Retryable
from omniguard.guard.wire import Capabilities
from omniguard.ports import Clock, GuardModel

FRESH_SECONDS = 30.0
PAUSE_SECONDS = 0.5
LEAST_SECONDS = 0.05
"""What the first answer may take even where no time is left: else who comes too late would hear that nobody is there."""


class LoadedModel:
    """Capabilities, shared by all events. A label that names another digest makes them stale at once."""

    def __init__(self, guard: GuardModel, clock: Clock) -> None:
        """Nothing is asked before the first event needs it."""
        self._guard, self._clock = guard, clock
        self._asking: asyncio.Task[Capabilities] | None = None
        self._known: Capabilities | None = None
        self._asked_at = float("-inf")

    @property
    def known(self) -> bool:
        """True once the guard has answered."""
        return self._known is not None

    async def capabilities(self, within: float = math.inf) -> Capabilities:
        """What the guard last said; wait for it where it has said nothing yet, at most `within` seconds.

        While the guard is away the last answer serves, so that kept assessments are still found.

        Raises:
            Retryable: guard_unavailable.

        """
        known = self.at_hand()
        if known is not None:
            return known
        try:
            async with asyncio.timeout(None if within == math.inf else max(within, LEAST_SECONDS)):
                return await asyncio.shield(self.ask())
        except TimeoutError:
            raise Retryable(
                Reason.GUARD_UNAVAILABLE, "the guard has not said yet what it can take, expected it in time: see that it runs"
            ) from None

    async def changed(self, known: Capabilities) -> bool:
        """Whether the guard, asked now, says something else than `known`."""
        return await asyncio.shield(self.ask()) != known

    def at_hand(self) -> Capabilities | None:
        """What the guard last said, without a wait; None where it has said nothing yet. It is asked anew where that is old."""
        if self._known is None or self._clock.monotonic() - self._asked_at > FRESH_SECONDS:
            self.ask()
        return self._known

    def ask(self) -> asyncio.Task[Capabilities]:
        """Ask behind the events' backs; the task ends when the guard has answered."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return self._asking

    def forget(self) -> None:
        """Another model answered: wait for its capabilities before the next event."""
        self._known = None

    async def close(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask(self) -> Capabilities:
        while True:
            try:
                known = await self._guard.capabilities()
            except Retryable:
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                self._known, self._asked_at = known, self._clock.monotonic()
                return known
