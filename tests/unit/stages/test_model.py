"""Events wait for the first answer of the guard only; after that it is asked behind their backs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest

from omniguard.adapters.clock import ManualClock
from omniguard.adapters.memory_guard import MemoryGuard
from omniguard.errors import OmniGuardError, Reason, Retryable
from omniguard.stages import model
from omniguard.stages.model import FRESH_SECONDS, LoadedModel

AWAY = Retryable(Reason.GUARD_UNAVAILABLE, "away")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "PAUSE_SECONDS", 0.0)


class Asked:
    def __init__(self, script: Iterable[OmniGuardError | None] = (), delay: float = 0.0) -> None:
        self.clock = ManualClock()
        self.guard = MemoryGuard(script=script, delay=delay)
        self.model = LoadedModel(self.guard, self.clock)

    async def digest(self) -> str:
        return (await self.model.capabilities()).digest


@pytest.fixture
async def asked() -> AsyncIterator[Asked]:
    made = Asked()
    yield made
    await made.model.close()


async def test_the_first_event_waits_until_the_guard_is_there() -> None:
    asked = Asked([AWAY, AWAY])
    assert not asked.model.known
    assert await asked.digest() == asked.guard.digest
    assert len(asked.guard.calls) == 3
    assert asked.model.known


async def test_many_events_ask_once() -> None:
    asked = Asked(delay=0.01)
    await asyncio.gather(*(asked.digest() for _ in range(5)))
    assert len(asked.guard.calls) == 1


async def test_an_event_that_gives_up_does_not_stop_the_asking() -> None:
    asked = Asked(delay=0.02)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await asked.digest()
    assert await asked.digest() == asked.guard.digest
    assert len(asked.guard.calls) == 1


async def test_a_fresh_answer_serves_without_asking(asked: Asked) -> None:
    await asked.digest()
    asked.clock.advance(FRESH_SECONDS)
    await asked.digest()
    assert len(asked.guard.calls) == 1


async def test_an_old_answer_serves_while_a_new_one_is_asked_for(asked: Asked) -> None:
    old = await asked.digest()
    asked.guard.load({"new": ("hate", 1.0)})
    asked.clock.advance(FRESH_SECONDS + 1)
    assert await asked.digest() == old
    await asked.model.ask()
    assert await asked.digest() == asked.guard.digest != old


async def test_an_old_answer_serves_while_the_guard_is_away() -> None:
    asked = Asked([None, *[AWAY] * 1000])
    old = await asked.digest()
    asked.clock.advance(FRESH_SECONDS + 1)
    for _ in range(5):
        assert await asked.digest() == old
        await asyncio.sleep(0)
    assert len(asked.guard.calls) > 1
    await asked.model.close()


async def test_after_another_model_answered_the_next_event_waits_for_its_capabilities(asked: Asked) -> None:
    await asked.digest()
    asked.guard.load({"new": ("hate", 1.0)})
    asked.model.forget()
    assert not asked.model.known
    assert await asked.digest() == asked.guard.digest
