"""What Faust reads ahead is bounded in bytes as well as in records."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from mode.utils.queues import FlowControlEvent

from omniguard.adapters.faust_worker import READ_AHEAD_BYTES, ReadAhead

HALF = READ_AHEAD_BYTES // 2


def queue(records: int = 100) -> ReadAhead:
    flow = FlowControlEvent()
    flow.resume()
    return ReadAhead(maxsize=records, flow_control=flow)


def event(size: int) -> Any:
    return SimpleNamespace(message=SimpleNamespace(key=None, value=b"x" * size))


async def test_it_is_full_at_so_many_bytes_and_has_room_again_when_one_is_taken() -> None:
    ahead = queue()
    ahead.force_put_nowait(event(HALF))
    assert not ahead.full()
    ahead.force_put_nowait(event(HALF))
    assert ahead.full()
    waiting = asyncio.create_task(ahead.put(event(1)))
    await asyncio.sleep(0)
    assert not waiting.done()
    await ahead.get()
    await asyncio.wait_for(waiting, 1)


async def test_small_records_are_bounded_by_their_number() -> None:
    ahead = queue(2)
    ahead.force_put_nowait(event(1))
    assert not ahead.full()
    ahead.force_put_nowait(event(1))
    assert ahead.full()


async def test_a_rebalance_empties_it() -> None:
    ahead = queue()
    ahead.force_put_nowait(event(READ_AHEAD_BYTES))
    ahead.clear()
    assert not ahead.full()
    assert ahead.empty()
