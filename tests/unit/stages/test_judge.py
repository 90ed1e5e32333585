"""A segment is judged with the upload's text; where that finds harm, it is asked again what shows it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from omniguard.adapters.clock import ManualClock
from omniguard.adapters.memory_assessments import MemoryAssessmentStore
from omniguard.adapters.memory_guard import MemoryGuard
from omniguard.domain.content import Frame, Modality, Segment, Sound, Turn
from omniguard.domain.deadline import NEVER, Deadline
from omniguard.domain.scores import ModelInfo, SegmentScore
from omniguard.errors import BadContent, ModelDied, Reason, Retryable
from omniguard.stages.examine import wire_categories
from omniguard.stages.findings import Findings
from omniguard.stages.judge import Brief, Judge
from stage_bench import POLICY, WORDS, stream

MODEL = ModelInfo("omniguard", "", "memory")


def said(words: str, index: int = 0) -> Segment:
    return Segment("t", index, Modality.TEXT, text=words, start=0, end=len(words))


def image(shown: bytes = b"", part: str = "i") -> Segment:
    return Segment(part, 0, Modality.IMAGE, frames=(Frame(b"jpeg " + shown),))


def film(shown: bytes = b"", heard: bytes = b"", index: int = 0) -> Segment:
    t0 = 6.0 * index
    frames = (Frame(b"jpeg " + shown, t0), Frame(b"jpeg", t0 + 1))
    return Segment("v", index, Modality.VIDEO, t0, t0 + 6, frames=frames, sound=Sound(b"pcm " + heard))


class Judged:
    """A judge with its twins, and what it found."""

    def __init__(self, guard: MemoryGuard | None = None, *, concurrency: int = 4) -> None:
        self.guard = guard or MemoryGuard(WORDS)
        self.store = MemoryAssessmentStore()
        self.clock = ManualClock()
        self.findings = Findings()
        self.judge = Judge(self.guard, self.store, self.clock, concurrency=concurrency)

    def brief(self, text: str = "", **changes: object) -> Brief:
        brief = Brief(
            tenant="acme",
            content="acme|c1",
            version=1,
            categories=wire_categories(POLICY),
            prompt_digest=POLICY.prompt_digest,
            floor=0.5,
            text=text,
            context=(),
            deadline=NEVER,
            priority=1,
            model=replace(MODEL, digest=self.guard.digest),
            plan_digest="plan",
            affinity="hash",
        )
        return replace(brief, **changes)

    async def scores(self, *segments: Segment, text: str = "", **changes: object) -> tuple[SegmentScore, ...]:
        brief = self.brief(text, **changes)
        texts = [s for s in segments if s.text is not None]
        await self.judge.judge(stream(*texts), brief, self.findings)
        await self.judge.judge(stream(*(s for s in segments if s.text is None)), brief, self.findings)
        return self.findings.assessment(brief.model, brief.floor).segments

    def asked(self) -> list[list[str]]:
        """The modalities of each request's parts."""
        return [[part.modality for part in call.request.parts] for call in self.guard.calls]


@pytest.fixture
def judged() -> Judged:
    return Judged()


async def test_a_text_is_judged_alone_and_once(judged: Judged) -> None:
    (score,) = await judged.scores(said("stab"), text="stab")
    assert judged.asked() == [["text"]]
    assert (dict(score.scores), score.modalities) == ({"text": 0.97}, ("text",))


async def test_below_the_floor_nothing_more_is_asked(judged: Judged) -> None:
    (score,) = await judged.scores(film(), text="good morning")
    assert judged.asked() == [["text", "video", "audio"]]
    assert (dict(score.scores), score.modalities, score.categories) == ({"joint": 0.0}, (), ())


async def test_a_single_medium_without_text_is_its_own_judgement(judged: Judged) -> None:
    (score,) = await judged.scores(image(b"stab"))
    assert judged.asked() == [["image"]]
    assert (dict(score.scores), score.modalities) == ({"image": 0.97}, ("image",))


async def test_harm_over_the_floor_is_asked_of_each_medium_alone(judged: Judged) -> None:
    (score,) = await judged.scores(film(heard=b"slur"), text="hello")
    assert judged.asked() == [["text", "video", "audio"], ["video"], ["audio"]]
    assert (dict(score.scores), score.modalities) == ({"joint": 0.95, "video": 0.0, "audio": 0.95}, ("audio",))


async def test_all_media_over_the_floor_alone_are_named(judged: Judged) -> None:
    (score,) = await judged.scores(film(b"stab", b"slur"))
    assert score.modalities == ("video", "audio")


async def test_harm_of_the_text_alone_is_put_down_to_the_text(judged: Judged) -> None:
    words = "stab him"
    _, score = sorted(await judged.scores(said(words), film(), text=words), key=lambda s: s.part)
    assert score.modalities == ("text",)
    assert judged.asked()[1:] == [["text", "video", "audio"], ["video"], ["audio"], ["video", "audio"]]


async def test_harm_that_only_shows_together_with_a_text_harmless_alone_is_joint(judged: Judged) -> None:
    (score,) = await judged.scores(image(), text="stab")  # the text was not judged alone, so nothing is known against it
    assert score.modalities == ("joint",)


async def test_what_an_earlier_segment_showed_is_recalled_under_the_asking_part_and_index(judged: Judged) -> None:
    await judged.scores(image(b"stab", part="a"))
    judged.findings = Findings()
    (score,) = await judged.scores(replace(image(b"stab", part="b"), index=7))
    assert len(judged.guard.calls) == 1
    assert (score.part, score.index, score.modalities) == ("b", 7, ("image",))


@pytest.mark.parametrize(
    "changes",
    [
        {"floor": 0.3},
        {"text": "another caption"},
        {"text": "a caption", "role": "reply"},
        {"context": (Turn("user", "earlier"),)},
        {"prompt_digest": "other"},
        {"plan_digest": "other"},
        {"tenant": "other"},
        {"model": replace(MODEL, digest="other")},
    ],
    ids=lambda changes: "_".join(changes),
)
async def test_a_memo_serves_only_the_same_question(judged: Judged, changes: dict[str, object]) -> None:
    await judged.scores(image(), **({"text": "a caption"} if "role" in changes else {}))
    await judged.scores(image(), **changes)
    assert len(judged.guard.calls) == 2


async def test_a_memo_of_a_text_does_not_serve_it_in_another_role(judged: Judged) -> None:
    await judged.scores(said("hello"))
    await judged.scores(replace(said("hello"), role="reply"))
    assert [part.role for call in judged.guard.calls for part in call.request.parts] == [None, "reply"]


async def test_a_memo_does_not_bring_another_texts_blame(judged: Judged) -> None:
    """The tail of a long text is not judged with the media; whether it is harmful alone still decides what is blamed."""
    await judged.scores(said("stab"), image(), text="stab")
    judged.findings = Findings()
    (score,) = await judged.scores(image(), text="stab")
    assert score.modalities == ("joint",)


async def test_another_model_makes_the_findings_stale_and_is_not_remembered(judged: Judged) -> None:
    brief = judged.brief()
    judged.guard.load({})
    await judged.judge.judge(stream(image()), brief, judged.findings)
    assert judged.findings.stale
    assert [p.reason for p in judged.findings.problems] == [Reason.GUARD_FAILED]
    await judged.judge.judge(stream(image()), brief, judged.findings)
    assert len(judged.guard.calls) == 2


async def test_a_segment_that_fails_becomes_a_problem_and_the_others_go_on() -> None:
    judged = Judged(MemoryGuard(WORDS, script=[Retryable(Reason.GUARD_FAILED, "no"), None]), concurrency=1)
    scores = await judged.scores(film(index=0), film(b"stab", index=1))
    assert [s.index for s in scores] == [1]
    assert [(p.reason, p.part) for p in judged.findings.problems] == [(Reason.GUARD_FAILED, "v")]


async def test_what_the_guard_does_not_take_is_the_contents_problem() -> None:
    judged = Judged(MemoryGuard(script=[BadContent(Reason.UNSUPPORTED, "no video")]))
    await judged.scores(film())
    assert [(p.reason, p.part) for p in judged.findings.problems] == [(Reason.UNSUPPORTED, "v")]


async def test_a_decoder_that_breaks_off_leaves_what_was_judged(judged: Judged) -> None:
    async def broken():  # type: ignore[no-untyped-def]
        yield film(b"stab")
        raise BadContent(Reason.DAMAGED, "cut off", part="v")

    await judged.judge.judge(broken(), judged.brief(), judged.findings)
    assert judged.findings.merged == 1
    assert [(p.reason, p.part) for p in judged.findings.problems] == [(Reason.DAMAGED, "v")]


async def test_no_more_than_the_bound_is_asked_at_once_over_all_uploads() -> None:
    class Counting(MemoryAssessmentStore):
        now = most = 0

        async def recall(self, key: str) -> SegmentScore | None:
            Counting.now += 1
            Counting.most = max(Counting.most, Counting.now)
            return await super().recall(key)

        async def remember(self, key: str, score: SegmentScore, *, content: str, version: int | None = None) -> None:
            Counting.now -= 1
            await super().remember(key, score, content=content, version=version)

    judged = Judged(MemoryGuard(delay=0.002), concurrency=3)
    judged.judge = Judge(judged.guard, Counting(), judged.clock, concurrency=3)
    uploads = [[film(b"%d %d" % (n, i), index=i) for i in range(5)] for n in range(3)]
    await asyncio.gather(*(judged.judge.judge(stream(*segments), judged.brief(), Findings()) for segments in uploads))
    assert len(judged.guard.calls) == 15
    assert Counting.most == 3


async def test_a_cancelled_upload_gives_its_slots_back() -> None:
    judged = Judged(MemoryGuard(delay=60), concurrency=2)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await judged.judge.judge(stream(film(), film(index=1), film(index=2)), judged.brief(), Findings())
    judged.guard.delay = 0
    await asyncio.wait_for(judged.scores(image(), image(b"2", part="j")), 5)


async def test_the_guard_is_told_what_time_is_left_and_whose_content_it_is(judged: Judged) -> None:
    left = Deadline(judged.clock.monotonic() + 2.5)
    await judged.scores(image(), deadline=left, context=(Turn("user", "earlier"),))
    (call,) = judged.guard.calls
    assert (call.request.deadline_ms, call.affinity, call.request.categories_from) == (2500, "hash", 0.5)
    assert [(t.role, t.text) for t in call.request.context] == [("user", "earlier")]


async def test_a_segment_that_holds_nothing_to_judge_is_a_problem_and_no_bug(judged: Judged) -> None:
    await judged.scores(Segment("v", 0, Modality.VIDEO, 6.0, 6.6), text="hello")
    assert [(p.reason, p.part) for p in judged.findings.problems] == [(Reason.NOT_ASSESSED, "v")]
    assert not judged.guard.calls


async def test_all_segments_of_one_upload_count_a_death_once_and_end_with_it() -> None:
    deaths = [ModelDied("gone", death="first")] * 3 + [ModelDied("gone", death=d) for d in ("second", "third")]
    judged = Judged(MemoryGuard({}, script=deaths), concurrency=4)
    await judged.scores(said("one"), said("two"), said("three"), film())
    assert {problem.reason for problem in judged.findings.problems} == {Reason.CRASH_SUSPECT}
    assert len(judged.guard.calls) == 5, "nothing more is asked once it is known, of the media neither"
    assert await judged.store.attempts("guard-deaths/omniguard/acme|c1/1") == 0
