"""What waits in the model of a genuine Triton, as the supervisor's page tells it: by this Triton is scaled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from faults.supervised import served
from faults.worker import eventually
from guard_asking import text
from omniguard.devstack import Stack
from omniguard.entrypoints.supervisor import Rules
from omniguard.guard.wire import Priority

pytestmark = pytest.mark.triton

PLACES = 2
"""Labels that the model of this test computes at once."""


async def test_the_gauges_rise_with_what_waits_and_fall_to_zero(own_stack: Callable[..., Stack], tmp_path: Path) -> None:
    async with served(own_stack, tmp_path / "control") as server, server.supervised(Rules(interval=0.1)) as (_, metrics):

        def waiting(priority: str) -> tuple[float, float]:
            requests = metrics.value("omniguard_model_waiting_requests", priority=priority)
            return requests, metrics.value("omniguard_model_oldest_wait_seconds", priority=priority)

        assert waiting("live") == waiting("late") == (0, 0)
        slow = [server.guard.ask(text("takes:2", priority=Priority.LIVE_LABEL)) for _ in range(PLACES + 3)]
        asked = asyncio.gather(*slow, server.guard.ask(text("hello", priority=Priority.LATE_LABEL)))
        await eventually(lambda: waiting("live")[0] == 3 and waiting("late")[0] == 1, 30, "what is not computed to wait")
        await eventually(lambda: waiting("live")[1] > 0.5, 30, "the oldest wait to grow")
        assert waiting("backfill") == waiting("critique") == (0, 0)
        assert all(reply.kinds == ["label"] for reply in await asked)
        await eventually(lambda: waiting("live") == waiting("late") == (0, 0), 30, "nothing to wait any more")
