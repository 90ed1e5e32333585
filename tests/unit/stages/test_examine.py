"""From an upload to an assessment: what the cache may serve, and what it must not."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from media_files.pictures import png
from omniguard.adapters.memory_assessments import MemoryAssessmentStore
from omniguard.adapters.memory_guard import MemoryGuard
from omniguard.domain.content import MediaInfo, Modality, Part, Turn
from omniguard.domain.deadline import Deadline
from omniguard.domain.policy import Category, Severity, Threshold
from omniguard.domain.scores import Assessment, PartCoverage, SegmentScore
from omniguard.errors import BadContent, Reason, Retryable
from omniguard.stages.examine import MODEL_CHANGES, Examination
from stage_bench import ACME, WORDS, Bench, silence, text_part

PICTURE = png(8, 8)
TONE = silence(1)
TRUSTED = replace(ACME, trust_claimed_sha256=True)
INFO = MediaInfo(None, has_frames=True, has_sound=False)
OBJECTS = {"a.png": PICTURE, "b.png": PICTURE, "a.wav": TONE, "long.wav": silence(8)}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, objects=OBJECTS)


def picture(part: str = "i", name: str = "a.png", sha256: str | None = None) -> Part:
    return Part(part, Modality.IMAGE, uri=f"s3://bucket/{name}", sha256=sha256)


def sound(part: str = "s") -> Part:
    return Part(part, Modality.AUDIO, uri="s3://bucket/a.wav")


async def test_the_same_bytes_under_other_part_ids_and_another_address_are_found(bench: Bench) -> None:
    first = await bench.examined(text_part("stab", "one"), picture("two"))
    asked = bench.labels
    second = await bench.examined(text_part("stab", "x"), picture("y", "b.png"))
    assert (first.cache, second.cache, bench.labels) == (None, "content", asked)
    assert [s.part for s in second.assessment.segments] == ["x", "y"]
    assert replace(second.assessment.segments[0], part="one") in first.assessment.segments


@pytest.mark.parametrize(
    ("parts", "upload"),
    [
        ((text_part("stab", role="title"), picture()), {}),
        ((picture(), text_part("stab")), {}),
        ((text_part("stab"), picture()), {"context": (Turn("user", "hello"),)}),
        ((text_part("stab!"), picture()), {}),
        ((text_part("stab"),), {}),
    ],
    ids=["role", "order", "context", "text", "one part less"],
)
async def test_another_upload_is_not_served_from_this_ones_assessment(
    bench: Bench, parts: tuple[Part, ...], upload: dict[str, object]
) -> None:
    await bench.examined(text_part("stab"), picture())
    assert (await bench.examined(*parts, **upload)).cache is None


@pytest.mark.parametrize(("roles", "joint"), [(("reply", "reply"), "reply"), (("reply", None), None)])
async def test_the_guard_is_told_what_role_texts_have(bench: Bench, roles: tuple[str | None, ...], joint: str | None) -> None:
    texts = [text_part(f"hello {i}", f"t{i}", role=role) for i, role in enumerate(roles)]
    await bench.examined(*texts, picture())
    told = {(len(call.request.parts), part.role) for call in bench.guard.calls for part in call.request.parts if part.text}
    assert told == {*((1, role) for role in roles), (2, joint)}


async def test_another_tenant_has_a_cache_of_its_own(bench: Bench) -> None:
    await bench.upload({"id": "t", "modality": "text", "text": "stab"})
    bench.tenant = replace(ACME, name="other")
    found = await bench.upload({"id": "t", "modality": "text", "text": "stab"}, tenant="other")
    assert not found.cache.hit


async def test_a_policy_that_tells_the_guard_something_else_is_not_served(bench: Bench) -> None:
    await bench.examined(text_part("stab"))
    bench.policy(categories=(Category("violent_crimes", "Other words.", Severity.HIGH),))
    assert (await bench.examined(text_part("stab"))).cache is None


async def test_another_plan_is_not_served(bench: Bench) -> None:
    await bench.examined(text_part("stab"))
    bench.examine._plan = replace(bench.examine._plan, fps=2.0)
    assert (await bench.examined(text_part("stab"))).cache is None


async def test_another_model_is_not_served(bench: Bench) -> None:
    await bench.examined(text_part("stab"))
    bench.guard.load({})
    bench.model.forget()
    assert (await bench.examined(text_part("stab"))).cache is None


async def test_thresholds_may_move_without_judging_anew_while_no_segment_lies_between(bench: Bench) -> None:
    await bench.examined(text_part("stab"))
    bench.policy(thresholds=dict.fromkeys(ACME.policy.thresholds, Threshold(0.3, 0.9)))
    assert (await bench.examined(text_part("stab"))).cache == "content"


async def test_a_lower_threshold_is_judged_anew_where_a_segment_lies_between(bench: Bench) -> None:
    bench.policy(thresholds=dict.fromkeys(ACME.policy.thresholds, Threshold(0.7, 0.9)))
    first = await bench.examined(text_part("fight"))
    assert first.assessment.segments[0].categories == ()
    bench.policy(thresholds=dict.fromkeys(ACME.policy.thresholds, Threshold(0.5, 0.9)))
    second = await bench.examined(text_part("fight"))
    assert second.cache is None
    assert [c.name for c in second.assessment.segments[0].categories] == ["violent_crimes"]


async def test_a_claimed_hash_finds_nothing_for_a_tenant_that_is_not_trusted(bench: Bench) -> None:
    claimed = picture(sha256=hashlib.sha256(PICTURE).hexdigest())
    await bench.examined(claimed)
    bench.objects.clear()
    exam = await bench.examined(claimed)
    assert (exam.cache, [p.reason for p in exam.findings.problems]) == (None, [Reason.NOT_FOUND])


async def test_a_trusted_tenants_hash_serves_without_a_fetch(tmp_path: Path) -> None:
    bench = Bench(tmp_path, objects=OBJECTS, tenant=TRUSTED)
    claimed = picture(sha256=hashlib.sha256(PICTURE).hexdigest())
    inline = Part("s", Modality.AUDIO, data=TONE)
    await bench.examined(text_part("stab"), picture(), inline)
    bench.objects.clear()
    exam = await bench.examined(text_part("stab"), claimed, inline)
    assert (exam.cache, exam.fetched) == ("claimed", [])
    assert (await bench.examined(text_part("slur"), claimed, inline)).cache is None


async def test_every_part_by_reference_must_be_claimed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, objects=OBJECTS, tenant=TRUSTED)
    claimed = picture(sha256=hashlib.sha256(PICTURE).hexdigest())
    await bench.examined(claimed, sound())
    assert (await bench.examined(claimed, sound())).cache == "content"


async def test_an_inline_parts_claim_is_not_believed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tenant=TRUSTED)
    await bench.examined(Part("i", Modality.IMAGE, data=PICTURE))
    lie = Part("i", Modality.IMAGE, data=png(9, 9), sha256=hashlib.sha256(PICTURE).hexdigest())
    exam = await bench.examined(lie)
    assert (exam.cache, [p.reason for p in exam.findings.problems]) == (None, [Reason.HASH_MISMATCH])


async def test_what_met_a_problem_is_not_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path, script=[None, Retryable(Reason.GUARD_FAILED, "no")])
    await bench.examined(text_part("stab"))
    exam = await bench.examined(text_part("stab"))
    assert (exam.cache, exam.findings.problems) == (None, [])


async def test_an_upload_with_tracks_that_were_not_examined_is_not_kept(bench: Bench) -> None:
    exam = await bench.examined(text_part("good morning"))
    task = await bench.task(text_part("other"))
    exam.key = "og:a:acme:x"
    exam.findings.probed("t", replace(INFO, unexamined_streams=1))
    await bench.examine.keep(exam, task)
    assert await bench.store.get("og:a:acme:x") is None


async def test_a_part_examined_in_part_is_not_kept(bench: Bench) -> None:
    exam = Examination(0.5, key="og:a:acme:x")
    exam.kept = Assessment(exam.model, (SegmentScore("s", 0, {"audio": 0.0}, 0.0, 6.0),), {"s": PartCoverage(60.0, 6.0)}, 0.5)
    await bench.examine.keep(exam, await bench.task(sound()))
    assert await bench.store.get("og:a:acme:x") is None


async def test_a_part_of_which_nothing_was_judged_is_not_kept(bench: Bench) -> None:
    bench.objects["s3://bucket/empty.txt"] = b""
    empty = Part("e", Modality.TEXT, uri="s3://bucket/empty.txt")
    await bench.examined(text_part("good morning"), empty)
    assert (await bench.examined(text_part("good morning"), empty)).cache is None


async def test_an_upload_too_heavy_for_the_lane_is_not_kept(bench: Bench) -> None:
    exam = Examination(0.5)
    await bench.examine.examine(await bench.task(Part("s", Modality.AUDIO, uri="s3://bucket/long.wav"), heavy_seconds=5.0), exam)
    assert exam.heavy
    assert exam.key is not None
    assert await bench.store.get(exam.key) is None


async def test_of_two_at_once_one_works_and_the_other_waits_for_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, guard=MemoryGuard(WORDS, delay=0.05), objects=OBJECTS)
    first, second = await asyncio.gather(bench.examined(text_part("stab")), bench.examined(text_part("stab", "other")))
    assert sorted([str(first.cache), str(second.cache)]) == ["None", "content"]
    assert bench.labels == 1


async def test_a_waiter_judges_itself_once_a_quarter_of_its_time_is_over(tmp_path: Path) -> None:
    bench = Bench(tmp_path, objects=OBJECTS)
    key = (await bench.examined(text_part("stab"))).key
    assert key is not None
    bench.store = store = MemoryAssessmentStore()
    bench.examine._store = store
    async with store.single_flight(key, 0):
        exam = await bench.examined(text_part("stab"), deadline=Deadline(bench.clock.monotonic() + 0.4))
    assert (exam.cache, [s.unsafe for s in exam.assessment.segments]) == (None, [0.97])


async def test_a_model_swapped_under_way_is_noticed_and_all_is_judged_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.model.capabilities()
    bench.guard.load({"stab": ("hate", 0.8)})
    exam = await bench.examined(text_part("stab"))
    assert (exam.model.digest, exam.findings.problems) == (bench.guard.digest, [])
    assert [c.name for c in exam.assessment.segments[0].categories] == ["hate"]


async def test_what_the_guard_refuses_is_refused_for_good_where_the_model_is_still_the_same(tmp_path: Path) -> None:
    bench = Bench(tmp_path, guard=MemoryGuard(script=[None, BadContent(Reason.UNSUPPORTED, "too many frames")]))
    exam = await bench.examined(text_part("stab"))
    assert [p.reason for p in exam.findings.problems] == [Reason.UNSUPPORTED]
    assert bench.labels == 1


async def test_what_was_cut_by_the_limits_of_a_model_that_is_gone_is_cut_anew(tmp_path: Path) -> None:
    bench = Bench(tmp_path, guard=MemoryGuard(script=[None, BadContent(Reason.UNSUPPORTED, "too many frames")]))
    await bench.model.capabilities()
    bench.guard.load({"stab": ("hate", 0.8)})
    exam = await bench.examined(text_part("stab"))
    assert (exam.model.digest, exam.findings.problems) == (bench.guard.digest, [])
    assert bench.labels == 2


async def test_a_guard_that_never_said_what_it_takes_is_away_and_who_comes_too_late_hears_it_at_once(tmp_path: Path) -> None:
    class Silent(MemoryGuard):
        async def capabilities(self):  # type: ignore[no-untyped-def]
            await asyncio.Event().wait()

    bench = Bench(tmp_path, guard=Silent())
    for left in (0.0, 0.05):
        exam = await asyncio.wait_for(bench.examined(text_part("stab"), deadline=Deadline(bench.clock.monotonic() + left)), 20)
        assert [p.reason for p in exam.findings.problems] == [Reason.GUARD_UNAVAILABLE]
    await bench.model.close()


async def test_models_that_never_rest_are_a_passing_failure(tmp_path: Path) -> None:
    class Restless(MemoryGuard):
        async def capabilities(self):  # type: ignore[no-untyped-def]
            found = await super().capabilities()
            self.load({"n": ("hate", len(self.calls) / 1000)})
            return found

    bench = Bench(tmp_path, guard=Restless())
    exam = await bench.examined(text_part("stab"))
    assert [p.reason for p in exam.findings.problems] == [Reason.GUARD_FAILED]
    assert bench.labels == MODEL_CHANGES


async def test_each_step_is_timed(bench: Bench) -> None:
    exam = await bench.examined(picture())
    assert set(exam.timings_ms) == {"fetch", "chunk", "judge"}
    hit = await bench.examined(picture())
    assert set(hit.timings_ms) == {"fetch"}


async def test_parts_that_can_be_had_are_judged_beside_one_that_cannot(bench: Bench) -> None:
    exam = await bench.examined(text_part("stab"), picture("gone", "gone.png"), sound())
    assert [(p.reason, p.part) for p in exam.findings.problems] == [(Reason.NOT_FOUND, "gone")]
    assert [s.part for s in exam.assessment.segments] == ["s", "t"]


async def test_a_kept_assessments_segments_are_decoded_anew_for_its_critique(bench: Bench) -> None:
    await bench.examined(text_part("stab"), picture())
    exam = await bench.examined(text_part("stab"), picture())
    found = await bench.examine.again(await bench.task(text_part("stab"), picture()), exam, (("t", 0), ("i", 0), ("i", 9)))
    assert [(s.part, s.index, bool(s.frames)) for s in found] == [("t", 0, False), ("i", 0, True)]
