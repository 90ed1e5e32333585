"""Slots are shared by tenants: none starves, none takes more than half while others are there, none is lost."""

from __future__ import annotations

import asyncio

from omniguard.adapters.clock import ManualClock
from omniguard.stages.shares import RECENT_SECONDS, Shares


class Rounds:
    """Asks for slots and says who got them, in order."""

    def __init__(self, slots: int) -> None:
        self.clock = ManualClock()
        self.shares = Shares(slots, self.clock)
        self.got: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def ask(self, tenant: str, times: int = 1) -> None:
        self.tasks += [asyncio.create_task(self._ask(tenant)) for _ in range(times)]
        await settle()

    async def _ask(self, tenant: str) -> None:
        await self.shares.acquire(tenant)
        self.got.append(tenant)

    async def release(self, tenant: str) -> None:
        self.shares.release(tenant)
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_tenant_alone_has_all_slots() -> None:
    rounds = Rounds(4)
    await rounds.ask("flood", 6)
    assert rounds.got == ["flood"] * 4


async def test_who_holds_the_fewest_is_next_however_long_the_other_waits() -> None:
    rounds = Rounds(4)
    await rounds.ask("flood", 20)
    await rounds.ask("anna")
    await rounds.ask("ben")
    await rounds.release("flood")
    await rounds.release("flood")
    assert rounds.got[4:] == ["anna", "ben"]


async def test_no_tenant_takes_more_than_half_while_others_are_there() -> None:
    rounds = Rounds(4)
    await rounds.ask("anna")
    await rounds.release("anna")
    await rounds.ask("flood", 20)
    assert rounds.got == ["anna", "flood", "flood"]
    await rounds.ask("ben", 2)
    assert rounds.got[3:] == ["ben", "ben"], "the other half is theirs at once"


async def test_a_tenant_that_is_gone_leaves_its_share() -> None:
    rounds = Rounds(4)
    await rounds.ask("anna")
    await rounds.release("anna")
    await rounds.ask("flood", 20)
    rounds.clock.advance(RECENT_SECONDS + 1)
    await rounds.release("flood")
    assert rounds.got == ["anna", *["flood"] * 5], "one in the place of the one given back, and both that were kept free"


async def test_one_slot_goes_round() -> None:
    rounds = Rounds(1)
    await rounds.ask("flood", 3)
    await rounds.ask("anna")
    await rounds.release("flood")
    await rounds.release("anna")
    assert rounds.got == ["flood", "anna", "flood"]


async def test_a_slot_given_to_one_that_is_cancelled_meanwhile_goes_to_the_next() -> None:
    rounds = Rounds(1)
    await rounds.ask("anna")
    await rounds.ask("ben", 2)
    rounds.shares.release("anna")  # granted to ben, whose task has not run since
    rounds.tasks[1].cancel()
    await settle()
    assert rounds.got == ["anna", "ben"]


async def test_one_cancelled_while_it_waits_takes_nothing() -> None:
    rounds = Rounds(1)
    await rounds.ask("anna")
    await rounds.ask("ben", 2)
    rounds.tasks[1].cancel()
    await settle()
    await rounds.release("anna")
    await rounds.release("ben")
    await rounds.ask("carla")
    assert rounds.got == ["anna", "ben", "carla"]
