"""Partitions that are taken away: what ran comes again, unblamed; what is stale is not started; what is held is let go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omniguard.adapters.clock import SystemClock
from omniguard.adapters.faust_worker import to_record
from omniguard.adapters.memory_assessments import MemoryAssessmentStore
from omniguard.adapters.memory_guard import MemoryGuard
from omniguard.domain.content import Modality, Segment
from omniguard.domain.deadline import NEVER
from omniguard.domain.lane import Lane
from omniguard.domain.reason import Reason
from omniguard.domain.record import Partition
from omniguard.domain.scores import ModelInfo
from omniguard.errors import Retryable
from omniguard.ports import Label
from omniguard.stages.findings import Findings
from omniguard.stages.judge import Brief, Judge
from unit.stages.rig import rig, upload

P0 = Partition("content-events", 0)


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_events_that_waited_for_their_turn_are_not_blamed(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        r.guard.delay = 20.0
        records = [r.record(upload("hello", content_version=version)) for version in (1, 2, 3)]
        for _ in range(4):
            for record in records:
                await r.take(record)
            assert await r.intake.drain(0.01) == 3
        assert [await r.store.attempt(record.id) for record in records] == [1, 1, 1]


async def test_a_record_taken_in_before_a_drain_is_not_started_after_it(tmp_path: Path) -> None:
    """The count of its starts takes long, and meanwhile its partition is moved: it will be delivered again, perhaps elsewhere."""
    async with rig(tmp_path) as r:
        counting = asyncio.Event()
        count = r.store.attempt

        async def slowly(record: str) -> int:
            await counting.wait()
            return await count(record)

        r.store.attempt = slowly  # type: ignore[method-assign]
        record = r.record(upload())
        taking = asyncio.create_task(r.take(record))
        await asyncio.sleep(0)
        await r.intake.drain(0)
        counting.set()
        await taking
        assert r.window.open == 0
        assert not r.verdicts
        assert await count(record.id) == 1


async def test_offsets_that_could_not_be_committed_are_offered_again_unless_the_partitions_moved(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        await r.carry(r.record(upload()))
        epoch, offsets = r.window.epoch, r.window.take_committable()
        r.window.put_back(offsets, epoch)
        assert r.window.take_committable() == {P0: 1}
        await r.carry(r.record(upload(content_id="c2")))
        r.window.put_back(offsets, epoch)  # older than what was released meanwhile
        assert r.window.take_committable() == {P0: 2}
        await r.intake.drain(0)
        r.window.put_back(offsets, epoch)
        assert r.window.take_committable() == {}


async def test_weighing_again_replaces_the_weight(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        r.publisher.suspend()
        record = r.record(upload())
        await r.take(record)
        (slot,) = r.window._running.values()
        slot.weigh(1000)
        slot.weigh(700)
        assert r.window.bytes_held == record.size + 700
        r.publisher.resume()
        await r.until(lambda: r.window.open == 0)
        assert r.window.bytes_held == 0


async def test_the_late_lane_tries_again_without_piling_up_files_and_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text by reference is fetched for every try."""
    real_sleep, sizes = asyncio.sleep, []

    class Away(MemoryGuard):
        tries = 0

        async def label(self, request: Any, media: Any, *, affinity: str = "") -> Label:
            sizes.append((len(files_below(tmp_path)), r.window.bytes_held))
            self.tries += 1
            if self.tries < 5:
                raise Retryable(Reason.GUARD_UNAVAILABLE, "as scripted")
            return await super().label(request, media, affinity=affinity)

    async with rig(
        tmp_path, guard=Away(), lane=Lane.LATE, maximum=None, objects={"https://a/t.txt": b"hello there, this is a text"}
    ) as r:
        monkeypatch.setattr("omniguard.stages.moderate.asyncio.sleep", lambda _: real_sleep(0))
        part = {"id": "p0", "modality": "text", "uri": "https://a/t.txt", "media_type": "text/plain"}
        await r.carry(r.record({**upload(), "parts": [part]}))
        assert [v.status for v in r.verdicts] == ["final"], r.verdicts
        assert len(sizes) == 5
        assert len(set(sizes)) == 1


async def test_a_model_that_changes_for_ever_ends_as_a_passing_failure(tmp_path: Path) -> None:
    """Two servers with two models behind one name, as in a rolling update that hangs."""

    class Flapping(MemoryGuard):
        async def label(self, request: Any, media: Any, *, affinity: str = "") -> Label:
            answer = await super().label(request, media, affinity=affinity)
            return Label(answer.event.model_copy(update={"digest": "another"}), answer.categories)

    async with rig(tmp_path, guard=Flapping()) as r:
        await r.carry(r.record(upload()))
        assert [(v.status, v.reason) for v in r.verdicts] == [("indeterminate", "guard_failed")]
        assert len(r.deferred(Lane.LATE)) == 1


async def test_a_label_that_is_cut_off_before_its_first_step_gives_its_slot_back() -> None:
    judge = Judge(MemoryGuard(), MemoryAssessmentStore(), SystemClock(), concurrency=1)
    brief = Brief("acme", "acme|c", 1, (), "p", 0.5, "", (), NEVER, 1, ModelInfo("m", "d", "e"), "plan")

    async def breaks() -> AsyncGenerator[Segment, None]:
        yield Segment("p0", 0, Modality.TEXT, text="hello")
        raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ExceptionGroup):
            async with asyncio.timeout(5):
                await judge.judge(breaks(), brief, Findings())


async def test_liveness_hears_of_every_judged_segment(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        before = r.progressed
        await r.carry(r.record(upload("hello " * 1000)))  # several windows of text
        assert r.progressed - before > 2 + 4


def test_a_record_of_faust_is_read_whatever_a_producer_wrote_into_it() -> None:
    message = SimpleNamespace(
        topic="t", partition=1, offset=2, key=None, value=None, timestamp=1e15, headers=[("a", None), ("b", b"1")]
    )
    record = to_record(message)
    assert record.headers == {"a": b"", "b": b"1"}
    assert abs((datetime.now(UTC) - record.timestamp).total_seconds()) < 60
    assert to_record(SimpleNamespace(**{**vars(message), "timestamp": None, "headers": None})).timestamp.year == 1970
