"""Starts are counted, suspects run alone, and a deletion is spotted only where there is one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from omniguard.adapters.memory_guard import MemoryGuard
from omniguard.contracts.content_event import CONTENT_DELETED
from omniguard.domain.content import Identity
from omniguard.domain.record import Record
from omniguard.domain.revision import FINAL
from omniguard.domain.verdict import verdict_id
from omniguard.stages.intake import Intake
from omniguard.stages.window import Slot, Window
from stage_bench import WORDS, Bench, text


class Running:
    """Intake into a window whose handler ends an event when its gate opens."""

    def __init__(self, bench: Bench, *, events: int = 8) -> None:
        self.bench, self.store = bench, bench.store
        self.slots: dict[int, Slot] = {}
        self.gate = asyncio.Event()
        self.window = Window(self._handle, max_events=events, max_bytes=1 << 20, max_open=64, progress=lambda: None)
        self.intake = Intake(self.window, self.store)

    async def _handle(self, record: Record, slot: Slot) -> None:
        self.slots[record.offset] = slot
        await self.gate.wait()

    async def take(self, record: Record, starts_before: int = 0) -> None:
        for _ in range(starts_before):
            await self.store.attempt(record.id)
        await self.intake.take(record)
        await asyncio.sleep(0)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
async def running(bench: Bench) -> Running:
    return Running(bench)


async def test_every_start_of_a_record_is_counted(running: Running) -> None:
    record = running.bench.event(text("a"))
    await running.take(record, starts_before=1)
    assert running.slots[record.offset].attempts == 2


@pytest.mark.parametrize(("starts_before", "alone"), [(0, False), (1, False), (2, True), (3, False)])
async def test_from_its_third_start_on_an_event_runs_alone_until_it_is_given_up(
    running: Running, starts_before: int, *, alone: bool
) -> None:
    await running.take(running.bench.event(text("a"), content_id="bystander"))
    taking = asyncio.create_task(running.take(running.bench.event(text("a"), content_id="suspect"), starts_before))
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(running.slots) == (1 if alone else 2)
    running.gate.set()
    await asyncio.wait_for(taking, 5)
    assert len(running.slots) == 2


async def test_a_death_while_a_suspect_waits_for_the_others_is_not_counted_against_it(running: Running) -> None:
    await running.take(running.bench.event(text("a")), starts_before=0)
    suspect = running.bench.event(text("b"), content_id="suspect")
    taking = asyncio.create_task(running.take(suspect, starts_before=2))
    for _ in range(10):
        await asyncio.sleep(0)
    taking.cancel()  # as a kill does: nothing is given back
    await asyncio.wait([taking])
    assert await running.store.attempts(suspect.id) == 2


async def test_a_record_that_was_never_started_is_not_counted(bench: Bench) -> None:
    running = Running(bench, events=1)
    await running.take(bench.event(text("a")))
    waiting = bench.event(text("b"), content_id="c2")
    taking = asyncio.create_task(running.intake.take(waiting))
    await asyncio.sleep(0)
    assert await running.intake.drain(0.01) == 1
    await asyncio.wait_for(taking, 5)
    assert await bench.store.attempt(waiting.id) == 1


async def test_an_event_cut_off_before_its_turn_is_not_counted(running: Running) -> None:
    await running.take(running.bench.event(text("a")))
    second = running.bench.event(text("b"))
    await running.take(second)
    assert await running.intake.drain(0.01) == 2
    assert await running.store.attempt(second.id) == 1


async def superseded(running: Running, upload: Record, behind: Record) -> bool:
    await running.take(upload)
    await running.take(replace(behind, offset=upload.offset + 1))
    return running.slots[upload.offset].superseded


async def test_a_deletion_ends_the_upload_before_it(running: Running) -> None:
    assert await superseded(running, running.bench.event(text("a")), running.bench.deletion())


async def test_a_deletion_in_binary_mode_is_one(running: Running) -> None:
    value = b'{"tenant": "acme", "content_id": "c1", "content_version": 1}'
    attributes = {"specversion": b"1.0", "type": CONTENT_DELETED.encode(), "source": b"/test", "id": b"1"}
    behind = running.bench.record(value, headers={f"ce_{name}": content for name, content in attributes.items()})
    assert await superseded(running, running.bench.event(text("a")), behind)


async def test_an_upload_that_speaks_of_deletions_is_none(running: Running) -> None:
    behind = running.bench.event(text(f'{{"type": "{CONTENT_DELETED}"}}'), content_version=2)
    assert not await superseded(running, running.bench.event(text("a")), behind)


async def test_a_deletion_that_cannot_be_read_ends_nothing(running: Running) -> None:
    broken = replace(running.bench.deletion(), value=b"{" + CONTENT_DELETED.encode())
    assert not await superseded(running, running.bench.event(text("a")), broken)


async def test_a_record_that_trips_a_bug_of_ours_does_not_stop_intake(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr("omniguard.stages.intake.parse", broken)
    assert not await superseded(running, running.bench.event(text("a")), running.bench.deletion())
    assert running.window.open == 2


async def test_a_deletion_of_an_older_version_ends_nothing_newer(running: Running) -> None:
    assert not await superseded(running, running.bench.event(text("a"), content_version=2), running.bench.deletion(1))


async def test_a_deletion_of_another_content_under_this_ones_key_ends_nothing(running: Running) -> None:
    other = replace(running.bench.event(kind=CONTENT_DELETED, content_id="c2"), key=b"acme|c1")
    assert not await superseded(running, running.bench.event(text("a")), other)


@pytest.mark.parametrize("began", [True, False], ids=["under way", "waiting for its turn"])
async def test_a_deletion_of_an_upload_started_before_leaves_no_promise_open(tmp_path: Path, *, began: bool) -> None:
    bench = Bench(tmp_path, guard=MemoryGuard(WORDS, delay=0 if began else 0.05))
    window = Window(bench.pipeline.carry, max_events=8, max_bytes=1 << 20, max_open=64, progress=lambda: None)
    intake = Intake(window, bench.store)
    first, upload = bench.event(text("good morning"), content_version=3), bench.event(text("stab"))
    if began:
        bench.guard.delay = 60
    else:
        await intake.take(first)
    await bench.store.attempt(upload.id)
    await intake.take(upload)
    for _ in range(5):
        await asyncio.sleep(0)
    await intake.take(bench.deletion())
    assert await window.drain(5.0) == []
    promised = verdict_id(Identity("acme", "c1", 1), 1, FINAL)
    assert [(c.verdict_id, c.none) for c in bench.critiques] == [(promised, "unavailable")]
    assert [v.status for v in bench.verdicts if v.content_version == 1] == ["retracted"]
    assert len(window.take_committable()) == 1


async def test_what_a_deletion_hurries_and_a_drain_cuts_off_is_not_released_with_its_promise_open(running: Running) -> None:
    upload = running.bench.event(text("a"))
    await running.take(upload)
    running.slots[upload.offset].owes = True
    await running.take(running.bench.deletion())
    await running.intake.drain(0.01)
    assert running.window.take_committable() == {}
