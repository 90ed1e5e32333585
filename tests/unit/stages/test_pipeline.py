"""What becomes of a record: a verdict, the same record on a slower lane, or a dead letter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame

from omniguard.adapters.memory_guard import MemoryGuard
from omniguard.adapters.memory_publisher import MemoryPublisher
from omniguard.domain.content import Identity, Modality
from omniguard.domain.lane import Lane
from omniguard.domain.policy import Action
from omniguard.domain.record import Record
from omniguard.domain.revision import FINAL, INDETERMINATE, RETRACTED, RETRACTION_REQUEST, STRIDE
from omniguard.domain.verdict import verdict_id
from omniguard.errors import Misconfigured, Reason, Retryable
from omniguard.stages.moderate import Moderate
from stage_bench import ACME, POLICY, Bench, by_uri, silence, text

AWAY = Retryable(Reason.GUARD_UNAVAILABLE, "away")
LATE = "content-events.late"
BACKFILL = "content-events.backfill"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def starts_counted(bench: Bench, record: Record) -> int:
    return await bench.store.attempt(record.id) - 1


async def test_an_upload_ends_as_a_final_verdict(bench: Bench) -> None:
    found = await bench.upload(text("good morning"))
    assert (found.status, found.action, found.revision, found.tenant, found.content_id) == ("final", "allow", FINAL, "acme", "c1")
    assert not bench.letters


async def test_harm_is_blocked_and_named(bench: Bench) -> None:
    found = await bench.upload(text("stab him"), request=3)
    assert (found.action, found.revision) == ("block", 3 * STRIDE + FINAL)
    assert [c.name for c in found.categories if c.named] == ["violent_crimes"]


async def test_bad_content_of_a_known_identity_gets_a_verdict_and_a_dead_letter(bench: Bench) -> None:
    record = bench.event(text("a", "same"), text("b", "same"), request=2, cause="appeal")
    await bench.carry(record)
    (found,), (letter,) = bench.verdicts, bench.letters
    assert (found.status, found.reason, found.revision) == ("indeterminate", "invalid_event", 2 * STRIDE + INDETERMINATE)
    assert found.cause == "appeal"
    assert (letter.error, letter.origin_offset) == ("invalid_event", record.offset)
    (kept,) = bench.publisher.records("dead-letters")
    assert (kept.key, kept.value) == (record.key, record.value)


@pytest.mark.parametrize("value", [None, b"", b"not json", b'{"specversion": "1.0", "type": "other", "data": {}}', b"[1]"])
async def test_what_has_no_readable_identity_is_a_dead_letter_alone(bench: Bench, value: bytes | None) -> None:
    record = bench.record(value)
    await bench.carry(record)
    assert not bench.verdicts
    assert [letter.stage for letter in bench.letters] == ["parse"]
    assert await starts_counted(bench, record) == 0


async def test_a_record_under_another_key_is_not_judged(bench: Bench) -> None:
    await bench.carry(replace(bench.event(text("good morning")), key=b"acme|c2"))
    assert [(v.status, v.reason) for v in bench.verdicts] == [("indeterminate", "invalid_event")]
    assert not bench.guard.calls


async def test_an_unknown_tenant_is_answered_for_review(bench: Bench) -> None:
    found = await bench.upload(text("good morning"), tenant="nobody")
    assert (found.status, found.reason, found.action, found.policy) == ("indeterminate", "unknown_tenant", "review", None)
    assert [letter.error for letter in bench.letters] == ["unknown_tenant"]


async def test_the_tenants_fallback_stands_for_what_cannot_be_read(bench: Bench) -> None:
    bench.policy(fallback=Action.BLOCK)
    found = await bench.upload(text(" "))
    assert (found.status, found.action) == ("indeterminate", "block")


async def test_an_event_that_killed_three_workers_is_not_touched(tmp_path: Path) -> None:
    bench = Bench(tmp_path, objects={"a.wav": silence(1)})
    record = bench.event(by_uri("a.wav", "audio"))
    for _ in range(3):
        await bench.store.attempt(record.id)
    await bench.carry(record)
    assert [v.reason for v in bench.verdicts] == ["crash_suspect"]
    assert [(letter.error, letter.attempts) for letter in bench.letters] == [("crash_suspect", 4)]
    assert not bench.guard.calls


async def test_a_crash_suspect_answers_the_critique_that_an_earlier_start_may_have_promised(bench: Bench) -> None:
    record = bench.event(text("stab him"))
    await bench.pipeline.carry(record, bench.slot(record, attempts=4))
    (answer,) = bench.critiques
    assert (answer.verdict_id, answer.none) == (verdict_id(Identity("acme", "c1", 1), 1, FINAL), "unavailable")


async def test_a_deletion_is_retracted_and_forgotten(bench: Bench) -> None:
    await bench.upload(text("stab him"))
    asked = bench.labels
    await bench.carry(bench.deletion())
    gone = bench.verdicts[-1]
    assert (gone.status, gone.revision) == ("retracted", RETRACTION_REQUEST * STRIDE + RETRACTED)
    again = await bench.upload(text("stab him"), content_version=2)
    assert not again.cache.hit
    assert bench.labels == asked * 2


async def test_a_tenant_over_quota_waits_on_the_backfill_lane_with_its_record_unchanged(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tenant=replace(ACME, quota=0.2))
    await bench.carry(bench.event(text("first"), content_id="c0"))
    record = bench.event(
        text("second"), headers={"x-own": b"\xff", "traceparent": b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"}
    )
    await bench.carry(record)
    (passed,) = bench.publisher.records(BACKFILL)
    assert (passed.key, passed.value, passed.headers) == (record.key, record.value, record.headers)
    assert [v.content_id for v in bench.verdicts] == ["c0"]


async def test_the_backfill_lane_knows_no_quota(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lane=Lane.BACKFILL, tenant=replace(ACME, quota=0.2))
    for name in ("a", "b", "c"):
        await bench.carry(bench.event(text(name), content_id=name))
    assert [v.content_id for v in bench.verdicts] == ["a", "b", "c"]


async def test_heavy_media_go_to_the_backfill_lane_unjudged(tmp_path: Path) -> None:
    bench = Bench(tmp_path, heavy_seconds=2.0, objects={"a.wav": silence(3)})
    record = bench.event(text("stab him"), by_uri("a.wav", "audio"))
    slot = await bench.carry(record)
    assert [m.value for m in bench.publisher.records(BACKFILL)] == [record.value]
    assert not bench.verdicts
    assert not bench.labels
    assert not slot.owes


async def test_media_as_long_as_the_limit_stay(tmp_path: Path) -> None:
    bench = Bench(tmp_path, heavy_seconds=3.0, objects={"a.wav": silence(3)})
    assert (await bench.upload(by_uri("a.wav", "audio"))).status == "final"


async def test_a_passing_reason_is_answered_and_goes_to_the_late_lane(tmp_path: Path) -> None:
    bench = Bench(tmp_path, script=[None, AWAY])
    record = bench.event(text("good morning"))
    await bench.carry(record)
    assert [(v.status, v.reason) for v in bench.verdicts] == [("indeterminate", "guard_unavailable")]
    assert [(m.key, m.value, m.headers) for m in bench.publisher.records(LATE)] == [(record.key, record.value, record.headers)]
    assert not bench.letters


async def test_the_verdict_is_out_before_the_late_lane_is_asked(tmp_path: Path) -> None:
    without_late = MemoryPublisher(frozenset({"verdicts", "critiques", "dead-letters"}))
    bench = Bench(tmp_path, script=[None, AWAY], publisher=without_late)
    with pytest.raises(Misconfigured):
        await bench.carry(bench.event(text("good morning")))
    assert [v.reason for v in bench.verdicts] == ["guard_unavailable"]


async def test_the_late_lane_tries_again_until_there_is_a_judgement(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lane=Lane.LATE, maximum=None, script=[None, AWAY])
    found = await bench.upload(text("stab him"))
    assert [v.status for v in bench.verdicts] == ["final"]
    assert found.action == "block"
    assert not bench.publisher.records(LATE)


async def test_after_late_max_age_what_is_known_stands_with_a_dead_letter(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lane=Lane.LATE, maximum=None, script=[None, AWAY])
    record = bench.event(text("good morning"))
    bench.clock.advance(3601)
    await bench.carry(record)
    assert [(v.status, v.reason) for v in bench.verdicts] == [("indeterminate", "guard_unavailable")]
    assert [letter.error for letter in bench.letters] == ["guard_unavailable"]
    assert not bench.publisher.records(LATE)


async def test_the_late_lane_never_passes_long_media_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lane=Lane.LATE, maximum=None, objects={"a.wav": silence(30)})
    assert (await bench.upload(by_uri("a.wav", "audio"))).status == "final"
    assert not bench.publisher.records(BACKFILL)


async def test_a_refusing_broker_is_raised_and_the_start_given_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path, publisher=MemoryPublisher(frozenset()))
    record = bench.event(text("good morning"))
    with pytest.raises(Misconfigured):
        await bench.carry(record)
    assert await starts_counted(bench, record) == 0


async def test_a_broker_that_refuses_after_a_promise_leaves_the_start_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, publisher=MemoryPublisher(frozenset({"verdicts"})))
    record = bench.event(text("stab him"))
    with pytest.raises(Misconfigured):
        await bench.carry(record)
    assert bench.verdicts[0].critique_ref is not None
    assert await starts_counted(bench, record) == 1


async def test_a_bug_outside_every_border_leaves_the_start_counted(bench: Bench) -> None:
    def broken(name: str) -> NoReturn:
        raise RuntimeError("a bug")

    record = bench.event(text("good morning"))
    bench.pipeline = replace(bench.pipeline, tenants=lambda: broken("x"))
    with pytest.raises(RuntimeError):
        await bench.carry(record)
    assert await starts_counted(bench, record) == 1


async def test_a_bug_behind_the_parsing_is_not_told_as_one_of_the_parser(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> NoReturn:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Moderate, "moderate", broken)
    assert (await bench.upload(text("good morning"))).reason == "internal_error"
    assert [(letter.stage, letter.error) for letter in bench.letters] == [("judge", "internal_error")]


async def test_what_no_engine_vouches_for_makes_no_dead_letter(tmp_path: Path) -> None:
    bench = Bench(tmp_path, guard=MemoryGuard(assesses=("image",)))
    bench.policy(required={Modality.TEXT: frozenset({"hate"})})
    found = await bench.upload(text("good morning"))
    assert (found.status, found.reason) == ("indeterminate", "not_assessed")
    assert not bench.letters
    assert not bench.publisher.records(LATE)


def two_tracks(path: Path) -> bytes:
    """A sound file with a second sound track."""
    with av.open(str(path), "w", format="matroska") as out:
        tracks = [out.add_stream("pcm_s16le", rate=8_000, layout="mono") for _ in range(2)]
        for track in tracks:
            frame = AudioFrame.from_ndarray(np.zeros((1, 8_000), np.int16), format="s16", layout="mono")
            frame.sample_rate = 8_000
            out.mux(track.encode(frame) + track.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize(("words", "status", "action"), [("good morning", "indeterminate", "review"), ("stab", "final", "block")])
async def test_a_track_that_is_not_examined_is_never_allowed_in_silence(
    tmp_path: Path, words: str, status: str, action: str
) -> None:
    bench = Bench(tmp_path, objects={"a.mka": two_tracks(tmp_path / "a.mka")})
    found = await bench.upload(text(words), by_uri("a.mka", "audio"))
    assert (found.status, found.action, [p.reason for p in found.problems]) == (status, action, ["not_assessed"])
    assert not bench.letters
    assert not bench.publisher.records(LATE)


async def test_a_part_that_cannot_be_had_is_a_verdict_and_one_dead_letter(bench: Bench) -> None:
    found = await bench.upload(by_uri("gone", "image", "a"), by_uri("gone", "image", "b"))
    assert (found.status, found.reason, [p.part for p in found.problems]) == ("indeterminate", "not_found", ["a", "b"])
    assert [letter.error for letter in bench.letters] == ["not_found"]


async def test_established_harm_stands_beside_a_part_that_cannot_be_had(bench: Bench) -> None:
    found = await bench.upload(text("stab him"), by_uri("gone", "image"))
    assert (found.status, found.action, found.reason) == ("final", "block", None)
    assert found.assurance == "partial"
    assert [letter.error for letter in bench.letters] == ["not_found"]


async def test_a_record_too_large_for_the_next_lane_is_refused(bench: Bench) -> None:
    found = await bench.upload(text("good morning"), ignored="x" * (1 << 20))
    assert (found.status, found.reason) == ("indeterminate", "too_large")
    assert POLICY.fallback == found.action
