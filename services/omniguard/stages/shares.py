"""Slots that tenants share: nobody takes more than half of them while others are there, and who holds the fewest is next."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from omniguard.ports import Clock

RECENT_SECONDS = 5.0
"""A tenant counts as there so long after it last asked for a slot or gave one back."""


class Shares:
    """At most `slots` are held at once. A tenant that is alone may hold all of them, unless they are held for long.

    Half is kept free of any one tenant because what a slot is for (a request to the guard) queues once more behind it: who comes
    meanwhile would wait behind all that the busy tenant has put there.
    """

    def __init__(self, slots: int, clock: Clock, *, long: bool = False) -> None:
        """All are free. `long`: a slot may be held for so long that who comes cannot wait until one is given back."""
        self._slots, self._clock, self._long = slots, clock, long
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._turns: dict[str, int] = {}
        self._count = itertools.count()

    async def acquire(self, tenant: str) -> None:
        """Wait for a slot. One that is given while the caller is cancelled goes to the next."""
        self._note(tenant)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(turn)
        self._grant()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(tenant)
            raise

    def release(self, tenant: str) -> None:
        """Give a slot back."""
        self._held[tenant] -= 1
        if not self._held[tenant]:
            del self._held[tenant]
        self._note(tenant)
        self._grant()

    @asynccontextmanager
    async def held(self, tenant: str) -> AsyncIterator[None]:
        """A slot for the block."""
        await self.acquire(tenant)
        try:
            yield
        finally:
            self.release(tenant)

    def _grant(self) -> None:
        while self._held.total() < self._slots and (tenant := self._next()) is not None:
            self._held[tenant] += 1
            self._turns[tenant] = next(self._count)
            self._waiting[tenant].popleft().set_result(None)

    def _next(self) -> str | None:
        """Of those below their share the one that holds the fewest; of equals the one whose last turn is longest ago."""
        for tenant, turns in tuple(self._waiting.items()):
            while turns and turns[0].done():  # cancelled while it waited
                turns.popleft()
            if not turns:
                del self._waiting[tenant]
        below = [tenant for tenant in self._waiting if self._held[tenant] < self._share(tenant)]
        return min(below, key=lambda tenant: (self._held[tenant], self._turns.get(tenant, -1)), default=None)

    def _share(self, tenant: str) -> int:
        alone = not self._long and self._seen.keys() <= {tenant} and self._held.keys() <= {tenant}
        return self._slots if alone else max(1, self._slots // 2)

    def _note(self, tenant: str) -> None:
        now = self._clock.monotonic()
        self._seen[tenant] = now
        self._seen.move_to_end(tenant)
        while next(iter(self._seen.values())) < now - RECENT_SECONDS:
            gone, _ = self._seen.popitem(last=False)
            self._turns.pop(gone, None)
