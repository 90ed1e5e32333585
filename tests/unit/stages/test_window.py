"""The window releases offsets in order, bounds what is in flight, keeps keys in order, and forgets what a revoke takes away."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from omniguard.domain.record import Partition, Record
from omniguard.stages.window import Slot, Window

P0 = Partition("content-events", 0)


def record(offset: int, key: bytes | None = None, value: bytes = b"", partition: Partition = P0) -> Record:
    return Record(partition, offset, key or b"k%d" % offset, value, datetime.now(UTC))


class Handler:
    """Holds every event until it is let go, by offset."""

    def __init__(self) -> None:
        self.gates: dict[int, asyncio.Event] = {}
        self.started: list[int] = []
        self.leave_early: set[int] = set()

    def gate(self, offset: int) -> asyncio.Event:
        return self.gates.setdefault(offset, asyncio.Event())

    async def __call__(self, rec: Record, slot: Slot) -> None:
        self.started.append(rec.offset)
        if rec.offset in self.leave_early:
            slot.leave()
        await self.gate(rec.offset).wait()


def window(
    handle: Callable[[Record, Slot], Awaitable[None]], *, events: int = 4, size: int = 1 << 20, opened: int = 100
) -> Window:
    return Window(handle, max_events=events, max_bytes=size, max_open=opened, progress=lambda: None)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_offsets_are_released_in_order_though_finished_out_of_order() -> None:
    handle = Handler()
    win = window(handle)
    for offset in (3, 4, 7):
        await win.submit(record(offset))
    handle.gate(4).set()
    handle.gate(7).set()
    await settle()
    assert win.take_committable() == {}
    handle.gate(3).set()
    await settle()
    assert win.take_committable() == {P0: 8}
    assert win.open == 0


async def test_intake_waits_while_the_window_is_full_and_goes_on_when_an_event_leaves() -> None:
    handle = Handler()
    handle.leave_early = {1}
    win = window(handle, events=2)
    await win.submit(record(0))
    await win.submit(record(1))
    await settle()
    await asyncio.wait_for(win.submit(record(2)), 1)  # 1 has its verdict, only its critique is open
    blocked = asyncio.create_task(win.submit(record(3)))
    await settle()
    assert not blocked.done()
    handle.gate(0).set()
    assert await asyncio.wait_for(blocked, 1)


async def test_intake_waits_while_too_many_bytes_are_held() -> None:
    handle = Handler()
    win = window(handle, size=100)
    await win.submit(record(0, value=b"x" * 200))
    blocked = asyncio.create_task(win.submit(record(1)))
    await settle()
    assert not blocked.done()
    handle.gate(0).set()
    assert await asyncio.wait_for(blocked, 1)


async def test_intake_waits_while_too_many_offsets_are_open() -> None:
    handle = Handler()
    handle.leave_early = {0, 1}
    win = window(handle, opened=2)
    await win.submit(record(0))
    await win.submit(record(1))
    blocked = asyncio.create_task(win.submit(record(2)))
    await settle()
    assert not blocked.done()
    handle.gate(0).set()
    assert await asyncio.wait_for(blocked, 1)


async def test_events_of_one_key_run_one_after_another_and_other_keys_beside_them() -> None:
    handle = Handler()
    win = window(handle)
    await win.submit(record(0, b"a"))
    await win.submit(record(1, b"a"))
    await win.submit(record(2, b"b"))
    await settle()
    assert handle.started == [0, 2]
    handle.gate(0).set()
    await settle()
    assert handle.started == [0, 2, 1]


async def test_a_drain_cancels_what_is_unfinished_and_releases_nothing_of_it() -> None:
    handle = Handler()
    win = window(handle)
    await win.submit(record(0))
    await win.submit(record(1))
    handle.gate(0).set()
    await settle()
    assert [slot.record.offset for slot in await win.drain(0.01)] == [1]
    assert win.take_committable() == {P0: 1}
    assert await win.submit(record(1))  # delivered again after the rebalance, from the committed offset
    handle.gate(1).set()
    await settle()
    assert win.take_committable() == {P0: 2}


async def test_a_record_that_waited_for_room_during_a_revoke_is_not_started() -> None:
    handle = Handler()
    win = window(handle, events=1)
    await win.submit(record(0))
    late = asyncio.create_task(win.submit(record(1)))
    await settle()
    await win.drain(0.01)
    assert await late is False
    assert handle.started == [0]


async def test_a_deletion_cancels_the_work_on_its_content_and_the_offset_is_released() -> None:
    handle = Handler()
    win = window(handle)
    await win.submit(record(0, b"a"))
    await win.submit(record(1, b"b"))
    await settle()
    handle.gate(2).set()
    await win.submit(record(2, b"a"), cancels=lambda other: True)
    await settle()
    assert win.take_committable() == {P0: 1}
    handle.gate(1).set()
    await settle()
    assert win.take_committable() == {P0: 3}


async def test_an_event_run_alone_waits_for_the_others_and_keeps_them_waiting() -> None:
    handle = Handler()
    win = window(handle)
    await win.submit(record(0))
    alone = asyncio.create_task(win.submit(record(1), alone=True))
    await settle()
    assert handle.started == [0]
    handle.gate(0).set()
    await settle()
    assert handle.started == [0, 1]
    assert not alone.done()
    handle.gate(1).set()
    assert await asyncio.wait_for(alone, 1)


async def test_a_bug_in_the_handler_is_reported_and_releases_nothing() -> None:
    async def broken(rec: Record, slot: Slot) -> None:
        raise RuntimeError("bug")

    win = Window(broken, max_events=1, max_bytes=1, max_open=1, progress=lambda: None)
    await win.submit(record(0))
    with pytest.raises(RuntimeError, match="bug"):
        await asyncio.wait_for(win.crashed, 1)
    assert win.take_committable() == {}


async def test_one_film_does_not_close_the_window_to_everybody_else() -> None:
    handle = Handler()
    win = window(handle, events=4, size=1000)
    await win.submit(record(0))
    film = next(iter(win._running.values()))
    film.weigh(50_000)
    assert win.bytes_held == 500
    assert await asyncio.wait_for(win.submit(record(1)), 1)
    list(win._running.values())[1].weigh(50_000)
    blocked = asyncio.create_task(win.submit(record(2)))
    await settle()
    assert not blocked.done(), "two of them do"
    film.leave()
    assert await asyncio.wait_for(blocked, 1)


async def test_a_drain_ends_though_an_event_goes_on_behind_its_cancelling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omniguard.stages.window.CANCEL_SECONDS", 0.05)
    cancelled = 0

    async def stubborn(rec: Record, slot: Slot) -> None:
        nonlocal cancelled
        while cancelled < 2:  # as one does that publishes while no broker is there
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1
        raise asyncio.CancelledError

    win = window(stubborn)
    await win.submit(record(0))
    assert len(await asyncio.wait_for(win.drain(0.01), 10)) == 1
    assert win.take_committable() == {}


class Resting(Handler):
    """Rests until it is woken, and then holds an event."""

    def __init__(self) -> None:
        super().__init__()
        self.awake = asyncio.Event()

    async def __call__(self, rec: Record, slot: Slot) -> None:
        async with slot.resting():
            await self.awake.wait()
        await super().__call__(rec, slot)


async def test_events_that_rest_keep_nobody_out() -> None:
    win = window(Resting(), events=1)
    for offset in range(3):
        assert await asyncio.wait_for(win.submit(record(offset)), 1)
        await settle()
    assert (win.waiting_for_verdict, win.open) == (0, 3)
    await win.drain(0.0)


async def test_events_that_wait_for_one_of_their_key_keep_nobody_out() -> None:
    handle = Handler()
    win = window(handle, events=2)
    for offset in range(5):
        await asyncio.wait_for(win.submit(record(offset, b"same")), 1)
        await settle()
    await asyncio.wait_for(win.submit(record(5, b"other")), 1)
    await settle()
    assert handle.started == [0, 5]
    handle.gate(0).set()
    await settle()
    assert handle.started == [0, 5, 1]
    await win.drain(0.0)


async def test_who_has_rested_waits_for_room() -> None:
    handle = Resting()
    win = window(handle, events=1)
    for offset in (0, 1):
        await asyncio.wait_for(win.submit(record(offset)), 1)
        await settle()
    handle.awake.set()
    await settle()
    assert handle.started == [0]
    handle.gate(0).set()
    await settle()
    assert handle.started == [0, 1]
    await win.drain(0.0)


async def test_one_that_rests_neither_keeps_a_suspect_waiting_nor_runs_beside_it() -> None:
    rests, suspect = Resting(), Handler()

    async def carry(rec: Record, slot: Slot) -> None:
        await (suspect if rec.offset else rests)(rec, slot)

    win = window(carry)
    await win.submit(record(0))
    await settle()
    assert await win.room(win.epoch, alone=True)
    rests.awake.set()
    await settle()
    alone = asyncio.create_task(win.submit(record(1), alone=True))
    await settle()
    assert (suspect.started, rests.started) == ([1], [])
    suspect.gate(1).set()
    await asyncio.wait_for(alone, 1)
    await settle()
    assert rests.started == [0]
    await win.drain(0.0)


async def test_a_suspect_that_rests_is_alone_no_more() -> None:
    win = window(Resting())
    assert await asyncio.wait_for(win.submit(record(0), alone=True), 1)
    assert await asyncio.wait_for(win.submit(record(1)), 1)
    await win.drain(0.0)
