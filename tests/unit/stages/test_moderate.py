"""One upload from its examination to its acknowledged verdict, and what follows the verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from media_files.pictures import png
from omniguard.adapters.memory_guard import MemoryGuard
from omniguard.domain.content import Identity
from omniguard.domain.lane import Lane
from omniguard.domain.policy import Action, Category, Outcome, Severity
from omniguard.domain.record import Record
from omniguard.domain.revision import FINAL, INDETERMINATE
from omniguard.domain.scores import Critique
from omniguard.domain.verdict import verdict_id
from omniguard.errors import OmniGuardError, Reason, Retryable
from omniguard.guard.wire import GuardRequest, Mode
from omniguard.ports import Label
from omniguard.stages.window import Window
from stage_bench import ACME, WORDS, Bench, by_uri, silence, text, text_part

FINAL_ID = verdict_id(Identity("acme", "c1", 1), 1, FINAL)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


class Buggy(MemoryGuard):
    """A guard's twin that trips over one word."""

    async def label(self, request: GuardRequest, media: Sequence[bytes], *, affinity: str = "") -> Label:
        if any("trip" in (part.text or "") for part in request.parts):
            raise ZeroDivisionError
        return await super().label(request, media, affinity=affinity)


class NoCritiques(MemoryGuard):
    """A guard's twin whose critiques fail with `error`."""

    error: Exception = Retryable(Reason.GUARD_UNAVAILABLE, "away")

    async def critique(self, request: GuardRequest, media: Sequence[bytes], *, affinity: str = "") -> NoReturn:
        raise self.error


async def test_a_deadline_ends_in_no_judgement_with_the_coverage_so_far(tmp_path: Path) -> None:
    bench = Bench(tmp_path, guard=MemoryGuard(WORDS, delay=0.12), maximum=0.3, concurrency=1, objects={"a.wav": silence(60)})
    record = bench.event(by_uri("a.wav", "audio"))
    await bench.carry(record)
    (found,) = bench.verdicts
    assert (found.status, found.reason, found.action) == ("indeterminate", "deadline", "review")
    assert found.coverage["m"].seconds == pytest.approx(60, abs=0.1)
    assert 0 < (found.coverage["m"].examined or 0) < 60
    assert [m.value for m in bench.publisher.records("content-events.late")] == [record.value]


async def test_a_deadline_that_has_passed_on_arrival_is_answered(tmp_path: Path) -> None:
    bench = Bench(tmp_path, maximum=1.0)
    record = bench.event(text("good morning"))
    bench.clock.advance(5.0)
    await bench.carry(record)
    assert [(v.status, v.reason) for v in bench.verdicts] == [("indeterminate", "deadline")]


async def test_the_events_own_deadline_binds_where_it_is_the_smaller(tmp_path: Path) -> None:
    bench = Bench(tmp_path, guard=MemoryGuard(WORDS, delay=0.2), maximum=600.0)
    await bench.model.capabilities()
    soon = bench.clock.now().replace(microsecond=50_000).isoformat()
    assert (await bench.upload(text("stab"), deadline=soon)).reason == "deadline"


async def test_a_bug_in_a_stage_costs_its_own_upload_the_examination_and_no_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path, guard=Buggy(WORDS))
    await asyncio.gather(
        bench.carry(bench.event(text("trip"), content_id="bad")), bench.carry(bench.event(text("stab"), content_id="good"))
    )
    found = {v.content_id: v for v in bench.verdicts}
    assert (found["bad"].status, found["bad"].reason) == ("indeterminate", "internal_error")
    assert found["good"].action == "block"
    assert [letter.error for letter in bench.letters] == ["internal_error"]


async def test_a_critique_follows_the_verdict_that_names_it(bench: Bench) -> None:
    found = await bench.upload(text("stab him"))
    (written,) = bench.critiques
    assert (found.verdict_id, found.critique_ref, written.verdict_id) == (FINAL_ID, FINAL_ID, FINAL_ID)
    assert (written.none, [(s.part, s.index) for s in written.segments]) == (None, [("t", 0)])


async def test_what_calls_for_no_critique_names_none(bench: Bench) -> None:
    found = await bench.upload(text("good morning"))
    assert found.critique_ref is None
    assert not bench.critiques


@pytest.mark.parametrize(
    ("error", "none"),
    [
        (Retryable(Reason.GUARD_UNAVAILABLE, "away"), "unavailable"),
        (Retryable(Reason.DEADLINE, "late"), "timeout"),
        (ZeroDivisionError(), "unavailable"),
    ],
    ids=["away", "late", "a bug"],
)
async def test_where_none_is_written_the_reason_follows(tmp_path: Path, error: Exception, none: str) -> None:
    guard = NoCritiques(WORDS)
    guard.error = error
    bench = Bench(tmp_path, guard=guard)
    found = await bench.upload(text("stab him"))
    assert [(c.verdict_id, c.none, c.text) for c in bench.critiques] == [(found.critique_ref, none, None)]


async def test_a_kept_assessment_brings_its_critique(bench: Bench) -> None:
    await bench.upload(text("stab him"))
    again = await bench.upload(text("stab him", "other"), content_id="c2")
    assert (again.cache.hit, again.cache.kind) == (True, "content")
    assert sum(call.request.mode is Mode.CRITIQUE for call in bench.guard.calls) == 1
    assert bench.critiques[1].text == bench.critiques[0].text
    assert (bench.critiques[1].verdict_id, bench.critiques[1].segments[0].part) == (again.critique_ref, "other")


async def test_one_content_is_asked_about_at_one_replica_whatever_its_id_and_another_at_another(bench: Bench) -> None:
    for content, words in (("c1", "stab"), ("c2", "stab"), ("c3", "stab again")):
        await bench.upload(text(words), content_id=content)
        await bench.store.forget(f"acme|{content}")
    calls = [(call.request.mode, call.affinity) for call in bench.guard.calls if call.request.mode is not Mode.CAPABILITIES]
    assert [mode for mode, _ in calls] == [Mode.LABEL, Mode.CRITIQUE] * 3
    first, other = calls[0][1], calls[4][1]
    assert [affinity for _, affinity in calls] == [first] * 4 + [other] * 2
    assert first != other


async def test_a_critique_that_failed_is_written_for_the_next_upload_of_the_same(tmp_path: Path) -> None:
    guard = NoCritiques(WORDS)
    bench = Bench(tmp_path, guard=guard, objects={"a.png": png(8, 8)})
    await bench.upload(text("stab him"), by_uri("a.png", "image"))
    bench.guard.__class__ = MemoryGuard  # its critiques work again
    again = await bench.upload(text("stab him"), by_uri("a.png", "image"), content_version=2)
    assert again.cache.hit
    assert {(s.part, s.index) for s in bench.critiques[1].segments} == {("t", 0), ("m", 0)}


async def test_a_deletion_behind_the_verdict_silences_the_critique_and_keeps_the_promise(tmp_path: Path) -> None:
    class DeletedMeanwhile(MemoryGuard):
        async def critique(self, request: GuardRequest, media: Sequence[bytes], *, affinity: str = "") -> Critique:
            slot.superseded = True
            return await super().critique(request, media, affinity=affinity)

    bench = Bench(tmp_path, guard=DeletedMeanwhile(WORDS))
    record = bench.event(text("stab him"))
    slot = bench.slot(record)
    await bench.pipeline.carry(record, slot)
    assert [(c.none, c.text) for c in bench.critiques] == [("unavailable", None)]
    kept = await bench.examined(text_part("stab him"))
    assert kept.assessment.critique is None


async def test_a_critique_cut_short_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    record = bench.event(text("stab him"))
    slot = bench.slot(record)
    task = asyncio.create_task(bench.pipeline.carry(record, slot))
    await slot.left.wait()
    bench.guard.delay = 60
    slot.hurry.set()
    await asyncio.wait_for(task, 5)
    assert [c.none for c in bench.critiques] == ["unavailable"]


async def test_the_critique_speaks_of_what_decided_though_others_scored_higher(tmp_path: Path) -> None:
    words = {"mild": ("hate", 0.99), "stab": ("violent_crimes", 0.95)}
    bench = Bench(tmp_path, guard=MemoryGuard(words))
    mild = Category("hate", "Hate.", Severity.LOW, at_most=Action.REVIEW)
    bench.policy(categories=(mild, ACME.policy.categories[0]))
    found = await bench.upload(*(text("mild", f"m{n}") for n in range(4)), text("stab", "t"))
    assert found.action == "block"
    assert bench.critiques[0].segments[0].part == "t"


async def test_a_redelivered_event_answers_what_its_earlier_start_may_have_promised(bench: Bench) -> None:
    record = bench.event(text("good morning"))
    await bench.pipeline.carry(record, bench.slot(record, attempts=2))
    assert [(c.verdict_id, c.none) for c in bench.critiques] == [(FINAL_ID, "unavailable")]


async def test_an_indeterminate_verdicts_promise_is_answered_by_the_next_start(bench: Bench) -> None:
    """The first start said indeterminate, promised a critique and died; the second comes to a final of another id."""
    bench.policy(critique_for=frozenset(Outcome))
    record = bench.event(text("stab him"))
    await bench.pipeline.carry(record, bench.slot(record, attempts=2))
    answered = {c.verdict_id: c.none for c in bench.critiques}
    assert answered[FINAL_ID] is None
    assert answered[verdict_id(Identity("acme", "c1", 1), 1, INDETERMINATE)] == "unavailable"


async def test_a_finals_promise_is_answered_though_the_next_start_promises_another(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.policy(critique_for=frozenset(Outcome))
    record = bench.event(text("fight"), by_uri("gone", "image"))
    await bench.pipeline.carry(record, bench.slot(record, attempts=2))
    assert bench.verdicts[0].status == "indeterminate"
    assert {c.verdict_id for c in bench.critiques} == {bench.verdicts[0].critique_ref, FINAL_ID}


async def test_long_media_that_call_for_a_block_are_answered_before_their_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path, objects={"a.wav": silence(61)})
    await bench.upload(text("stab him"), by_uri("a.wav", "audio"))
    early, final = bench.verdicts
    assert (early.status, early.action, early.revision) == ("provisional", "block", 1)
    assert (final.status, final.revision) == ("final", FINAL)
    assert early.order < final.order
    assert (early.critique_ref, final.critique_ref) == (None, FINAL_ID)


@pytest.mark.parametrize(("words", "seconds"), [("stab him", 59), ("fight him", 61), ("good morning", 61)])
async def test_short_or_milder_uploads_have_one_verdict(tmp_path: Path, words: str, seconds: float) -> None:
    bench = Bench(tmp_path, objects={"a.wav": silence(seconds)})
    await bench.upload(text(words), by_uri("a.wav", "audio"))
    assert [v.status for v in bench.verdicts] == ["final"]


async def test_the_final_verdict_does_not_overtake_the_provisional_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path, objects={"a.wav": silence(61)})
    bench.publisher.suspend()
    task = asyncio.create_task(bench.upload(text("stab him"), by_uri("a.wav", "audio")))
    asyncio.get_running_loop().call_later(0.3, bench.publisher.resume)
    await task
    assert [v.status for v in bench.verdicts] == ["provisional", "final"]


async def test_a_cancelled_event_publishes_nothing_and_leaves_no_file(tmp_path: Path) -> None:
    bench = Bench(tmp_path, guard=MemoryGuard(WORDS, delay=60), objects={"a.png": png(8, 8)})
    record = bench.event(text("stab"), by_uri("a.png", "image"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await bench.carry(record)
    assert not bench.verdicts
    assert await bench.store.attempt(record.id) == 1
    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == []


async def test_the_late_lanes_next_try_fetches_anew(tmp_path: Path) -> None:
    script: list[OmniGuardError | None] = [None, Retryable(Reason.GUARD_FAILED, "no")]
    bench = Bench(tmp_path, lane=Lane.LATE, maximum=None, script=script, objects={"a.png": png(8, 8)})
    found = await bench.upload(by_uri("a.png", "image"))
    assert [v.status for v in bench.verdicts] == ["final"]
    assert found.timings_ms["total"] >= 0


async def test_a_try_on_the_late_lane_that_hangs_ends_and_the_next_asks_only_for_what_is_missing(tmp_path: Path) -> None:
    class HangsOnce(MemoryGuard):
        hung = False

        async def label(self, request: GuardRequest, media: Sequence[bytes], *, affinity: str = "") -> Label:
            found = await super().label(request, media, affinity=affinity)
            if len(self.calls) == 3 and not self.hung:
                self.hung = True
                await asyncio.Event().wait()
            return found

    guard = HangsOnce(WORDS)
    objects = {"a.wav": silence(90)}
    bench = Bench(tmp_path, lane=Lane.LATE, maximum=None, guard=guard, concurrency=1, objects=objects, late_try_seconds=1.0)
    found = await asyncio.wait_for(bench.upload(by_uri("a.wav", "audio")), 60)
    assert guard.hung
    assert found.status == "final"
    segments = {call.request.parts[-1].t0 for call in guard.calls if call.request.mode is Mode.LABEL}
    assert bench.labels == len(segments) + 1


async def test_what_is_weighed_is_the_media_and_goes_when_the_verdict_is_out(tmp_path: Path) -> None:
    bench = Bench(tmp_path, objects={"a.wav": silence(1)})
    record: Record = bench.event(by_uri("a.wav", "audio"))
    weights: list[int] = []
    slot = bench.slot(record)
    task = replace(bench.moderate._task(record, slot, *await _parsed(bench, record), tmp_path), weigh=weights.append)
    await bench.moderate._examine_once(task)
    assert weights == [len(bench.objects["s3://bucket/a.wav"])]


async def _parsed(bench: Bench, record: Record):  # type: ignore[no-untyped-def]
    from omniguard.contracts.content_event import parse

    return parse(record.key, record.value, record.headers), bench.tenant


async def test_an_appeal_is_explained_though_it_comes_to_nothing_else(bench: Bench) -> None:
    bench.policy(critique_for=frozenset({Outcome.APPEALED}))
    assert (await bench.upload(text("good morning"))).critique_ref is None
    appealed = await bench.upload(text("good morning"), request=1, cause="appeal")
    assert appealed.critique_ref is not None
    assert [(c.verdict_id, c.none) for c in bench.critiques] == [(appealed.critique_ref, None)]


@pytest.mark.parametrize(("words", "explained"), [("fight", True), ("good morning", False)])
async def test_what_a_little_would_change_is_explained(tmp_path: Path, words: str, explained: bool) -> None:
    bench = Bench(tmp_path)
    bench.policy(critique_for=frozenset({Outcome.BORDERLINE}), borderline_margin=0.1)
    assert ((await bench.upload(text(words))).critique_ref is not None) is explained


async def test_a_sample_of_all_is_explained_and_a_redelivery_decides_alike(bench: Bench) -> None:
    bench.policy(critique_for=frozenset(), critique_sample=0.3)
    first = [(await bench.upload(text(f"day {i}"), content_id=f"c{i}")).critique_ref for i in range(60)]
    again = [(await bench.upload(text(f"day {i}"), content_id=f"c{i}")).critique_ref for i in range(60)]
    assert 5 <= sum(ref is not None for ref in first) <= 35
    assert first == again
    assert len({c.verdict_id for c in bench.critiques}) == sum(ref is not None for ref in first)


async def test_uploads_whose_examination_fails_for_a_day_do_not_close_the_late_lane_to_others(tmp_path: Path) -> None:
    class Fails(MemoryGuard):
        async def label(self, request: GuardRequest, media: Sequence[bytes], *, affinity: str = "") -> Label:
            if any("fails" in (part.text or "") for part in request.parts):
                raise Retryable(Reason.GUARD_FAILED, "as ever")
            return await super().label(request, media, affinity=affinity)

    bench = Bench(tmp_path, lane=Lane.LATE, maximum=None, guard=Fails(WORDS))
    window = Window(bench.pipeline.carry, max_events=2, max_bytes=1 << 24, max_open=64, progress=lambda: None)
    async with asyncio.timeout(10):
        for number in range(5):
            await window.submit(bench.event(text("fails"), content_id=f"f{number}"))
        await window.submit(bench.event(text("fine"), content_id="fine"))
        while not bench.verdicts:
            assert not window.crashed.done()
            await asyncio.sleep(0.01)
    assert [(found.content_id, found.status) for found in bench.verdicts] == [("fine", "final")]
    await window.drain(0.0)
