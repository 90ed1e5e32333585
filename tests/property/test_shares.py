"""Whatever tenants ask, give back and cancel: slots are never too many, never idle without need, never kept from one in want."""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from omniguard.adapters.clock import ManualClock
from omniguard.stages.shares import Shares

TENANTS = st.sampled_from(["flood", "anna", "ben"])
STEPS = st.lists(st.tuples(st.sampled_from(["ask", "ask", "release", "cancel", "wait"]), TENANTS), max_size=60)


class Machine:
    def __init__(self, slots: int) -> None:
        self.clock, self.slots = ManualClock(), slots
        self.shares = Shares(slots, self.clock)
        self.held: Counter[str] = Counter()
        self.waiting: dict[str, list[asyncio.Task[None]]] = {}
        self.seen: set[str] = set()

    async def step(self, what: str, tenant: str) -> None:
        if what == "ask":
            self.waiting.setdefault(tenant, []).append(asyncio.create_task(self._ask(tenant)))
            self.seen.add(tenant)
        elif what == "release" and self.held[tenant]:
            self.held[tenant] -= 1
            self.shares.release(tenant)
        elif what == "cancel" and self.waiting.get(tenant):
            self.waiting[tenant].pop().cancel()
        elif what == "wait":
            self.clock.advance(1.0)
        for _ in range(4):
            await asyncio.sleep(0)

    async def _ask(self, tenant: str) -> None:
        await self.shares.acquire(tenant)
        self.held[tenant] += 1
        self.waiting[tenant].remove(asyncio.current_task())  # type: ignore[arg-type]

    def check(self) -> None:
        total = self.held.total()
        assert total <= self.slots
        half = max(1, self.slots // 2)
        for tenant, waiting in self.waiting.items():
            if waiting and total < self.slots:
                assert self.held[tenant] >= half, f"{tenant} waits, holds {self.held[tenant]} of {self.slots}, and slots are free"

    async def drain(self) -> None:
        """Give everything back until nobody waits: each turn comes."""
        for _ in range(1000):
            holder = next((t for t, n in self.held.items() if n), None)
            if holder is None:
                break
            await self.step("release", holder)
        assert not any(self.waiting.values())


@given(st.integers(1, 6), STEPS)
def test_slots_are_neither_exceeded_nor_withheld_nor_lost(slots: int, steps: list[tuple[str, str]]) -> None:
    async def go() -> None:
        machine = Machine(slots)
        for what, tenant in steps:
            await machine.step(what, tenant)
            machine.check()
        await machine.drain()

    asyncio.run(go())
