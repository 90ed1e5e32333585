"""A deletion ends on one lane what is under way on another, is finished only with the store's word, and cannot be displaced."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from omniguard.adapters.memory_assessments import MemoryAssessmentStore
from omniguard.adapters.memory_guard import MemoryGuard
from omniguard.adapters.memory_publisher import MemoryPublisher
from omniguard.consume import VerdictTable
from omniguard.domain.cache_keys import attempts_key
from omniguard.domain.content import Identity
from omniguard.domain.lane import Lane
from omniguard.domain.reason import Reason
from omniguard.domain.revision import FINAL, verdict_id
from omniguard.errors import Retryable
from omniguard.stages import moderate
from omniguard.stages.intake import Intake
from omniguard.stages.window import Window
from stage_bench import WORDS, Bench, by_uri, silence, text


class Away(MemoryAssessmentStore):
    """A store that does not answer deletions, `times` over."""

    def __init__(self, times: int = 10**9) -> None:
        super().__init__()
        self.times = times

    async def forget(self, content: str, version: int | None = None) -> bool:
        self.times -= 1
        return self.times < 0 and await super().forget(content, version)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moderate, "FIRST_PAUSE_SECONDS", 0.001)


@pytest.mark.parametrize("lane", [Lane.BACKFILL, Lane.LATE])
async def test_a_copy_on_a_slower_lane_is_neither_judged_nor_answered(tmp_path: Path, lane: Lane) -> None:
    bench = Bench(tmp_path, lane=lane, maximum=None)
    await bench.store.forget("acme|c1", 2)
    await bench.carry(bench.event(text("stab"), content_version=2))
    assert (bench.labels, bench.verdicts, bench.letters) == (0, [], [])
    await bench.carry(bench.event(text("stab"), content_version=3))
    assert [v.content_version for v in bench.verdicts] == [3]


async def test_a_copy_whose_deletion_comes_while_it_is_judged_publishes_and_keeps_nothing(tmp_path: Path) -> None:
    store = MemoryAssessmentStore()

    class DeletedMeanwhile(MemoryGuard):
        async def label(self, *args, **options):  # type: ignore[no-untyped-def]
            await store.forget("acme|c1", 1)
            return await super().label(*args, **options)

    bench = Bench(tmp_path, lane=Lane.LATE, maximum=None, guard=DeletedMeanwhile(WORDS), store=store, objects={"a": silence(2)})
    await bench.carry(bench.event(text("stab"), by_uri("a", "audio")))
    assert bench.labels > 0
    assert (bench.verdicts, bench.critiques) == ([], [])
    await bench.upload(text("stab"), by_uri("a", "audio"), content_version=2)
    assert bench.verdicts[-1].cache.hit is False


async def test_a_copy_that_is_tried_again_and_again_ends_with_its_deletion(tmp_path: Path) -> None:
    away = Retryable(Reason.GUARD_UNAVAILABLE, "away")
    bench = Bench(tmp_path, lane=Lane.LATE, maximum=None, script=[None, *[away] * 10_000])
    carrying = asyncio.create_task(bench.carry(bench.event(text("stab"))))
    async with asyncio.timeout(10):
        while len(bench.guard.calls) < 3:  # noqa: ASYNC110 - nothing to be woken by
            await asyncio.sleep(0.001)
        await bench.store.forget("acme|c1", 1)
        await carrying
    assert bench.verdicts == []


async def test_a_copy_that_may_have_promised_a_critique_answers_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lane=Lane.BACKFILL, maximum=None)
    await bench.store.forget("acme|c1", 1)
    upload = bench.event(text("stab"))
    await bench.store.attempt(upload.id)
    await bench.carry(upload)
    promised = verdict_id(Identity("acme", "c1", 1), 1, FINAL)
    assert ([(c.verdict_id, c.none) for c in bench.critiques], bench.verdicts) == ([(promised, "unavailable")], [])


async def test_an_upload_behind_its_deletion_is_judged_anew(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.carry(bench.deletion())
    await bench.upload(text("stab"), content_version=2)
    await bench.upload(text("stab"), content_version=2)
    assert [(v.status, v.cache.hit) for v in bench.verdicts] == [("retracted", False), ("final", False), ("final", True)]
    table = VerdictTable()
    assert [table.apply(v) for v in bench.verdicts] == [True, True, False]


async def test_the_same_version_again_is_judged_outranked_and_not_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.carry(bench.deletion())
    for _ in range(2):
        assert (await bench.upload(text("stab"))).cache.hit is False
    table = VerdictTable()
    assert [table.apply(v) for v in bench.verdicts] == [True, False, False]


async def test_a_retraction_stands_over_what_a_later_policy_says_of_the_version(tmp_path: Path) -> None:
    """The mark may be gone with Redis: then the copy on the late lane is judged, under an epoch that is newer."""
    bench = Bench(tmp_path, lane=Lane.LATE, maximum=None)
    await bench.carry(bench.deletion())
    bench.pipeline = replace(bench.pipeline, store=MemoryAssessmentStore())
    bench.examine._store = MemoryAssessmentStore()  # the store was flushed
    bench.tenant = replace(bench.tenant, policy_epoch=7)
    await bench.upload(text("stab"), request=3)
    table = VerdictTable()
    assert [(v.status, table.apply(v)) for v in bench.verdicts] == [("retracted", True), ("final", False)]


async def test_a_deletion_that_the_store_did_not_take_goes_to_the_late_lane(tmp_path: Path) -> None:
    bench = Bench(tmp_path, store=Away())
    record = bench.deletion()
    await bench.carry(record)
    (deferred,) = bench.publisher.records(bench.topics.content(Lane.LATE))
    assert (deferred.key, deferred.value) == (record.key, record.value)
    assert [v.status for v in bench.verdicts] == ["retracted"]


async def test_the_late_lane_tries_until_the_store_took_it(tmp_path: Path) -> None:
    store = Away(times=4)
    bench = Bench(tmp_path, lane=Lane.LATE, maximum=None, store=store)
    await store.put("og:a:acme:x", None, content="acme|c1")  # type: ignore[arg-type]
    slot = await bench.carry(bench.deletion())
    assert store.times == -1
    assert await store.deleted("acme|c1", 1)
    assert slot.left.is_set()
    assert (len(bench.verdicts), bench.letters) == (1, [])


async def test_the_late_lane_gives_a_deletion_up_with_a_dead_letter(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lane=Lane.LATE, maximum=None, store=Away())
    record = bench.deletion()
    bench.clock.advance(3601)
    await bench.carry(record)
    assert [(letter.error, letter.stage) for letter in bench.letters] == [("store_unavailable", "forget")]


async def test_an_upload_that_a_deletion_ends_before_its_turn_leaves_no_count(tmp_path: Path) -> None:
    counted: dict[str, int] = {}

    class Counting(MemoryAssessmentStore):
        async def attempt(self, record: str) -> int:
            counted[attempts_key(record)] = await super().attempt(record)
            return counted[attempts_key(record)]

        async def settle(self, record: str) -> None:
            del counted[attempts_key(record)]
            await super().settle(record)

    bench = Bench(tmp_path, guard=MemoryGuard(WORDS, delay=60), store=Counting(), publisher=MemoryPublisher())
    window = Window(bench.pipeline.carry, max_events=8, max_bytes=1 << 20, max_open=64, progress=lambda: None)
    intake = Intake(window, bench.store)
    for version in range(3):
        await intake.take(bench.event(text("stab"), content_version=version))
    for _ in range(5):
        await asyncio.sleep(0)
    await intake.take(bench.deletion(3))
    assert await window.drain(5.0) == []
    assert counted == {}
    assert [v.status for v in bench.verdicts] == ["retracted"]
