"""Judge: every segment jointly with the upload's text, and once more in pieces where that finds harm.

Attribution (docs/architecture.md, Judgement): only a segment at or over the policy's floor is asked again, without the text
and then each medium alone. `modalities` are those over the floor alone, else `joint`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from omniguard.domain.cache_keys import digest, segment_digest, segment_key
from omniguard.domain.content import Modality, Segment, Turn
from omniguard.domain.deadline import Deadline
from omniguard.domain.decision import Problem
from omniguard.domain.free_names import free_names
from omniguard.domain.reason import Reason
from omniguard.domain.scores import JOINT, Evidence, ModelInfo, SegmentScore
from omniguard.errors import BadContent, Retryable
from omniguard.guard.wire import MODEL, GuardRequest, Mode, Priority, WireCategory, WirePart, WireTurn
from omniguard.observability import METRICS
from omniguard.ports import AssessmentStore, Clock, GuardModel, Label
from omniguard.stages.findings import Findings
from omniguard.stages.shares import Shares
from omniguard.stages.trials import Suspicion, Trials


@dataclass(frozen=True, slots=True)
class Brief:
    """What is the same for every segment of one upload.

    `memo` is False where the upload is one segment: its assessment, kept a moment later, would be the same record twice.
    `text` is all the upload says, judged together with each medium; `role` is its parts', if they have one in common. `floor` is
    the policy's lowest threshold, as a score of the model. `affinity` is the hash of the upload's content:
    what is asked about one goes to one replica of the guard.
    """

    tenant: str
    content: str
    version: int
    categories: tuple[WireCategory, ...]
    prompt_digest: str
    floor: float
    text: str
    context: tuple[Turn, ...]
    deadline: Deadline
    priority: int
    model: ModelInfo
    plan_digest: str
    traceparent: str | None = None
    memo: bool = True
    role: str | None = None
    affinity: str = ""


class Judge:
    """Asks the guard about segments, at most `concurrency` at once over all events of the process; tenants share these slots."""

    def __init__(self, guard: GuardModel, store: AssessmentStore, clock: Clock, *, concurrency: int, name: str = MODEL) -> None:
        """`store` keeps the memo of each segment; `name` is the model's."""
        self._name, self._trials = name, Trials(store, name=name)
        self._guard, self._store, self._clock = guard, store, clock
        self._slots = Shares(concurrency, clock)

    async def judge(
        self,
        segments: AsyncGenerator[Segment, None],
        brief: Brief,
        findings: Findings,
        judged: Callable[[], object] = lambda: None,
    ) -> None:
        """Judge segments as they come and put what is found, or why not, into `findings`. `judged` is called after each.

        An upload that the guard's process dies of is found out (`Trials`): crash_suspect.
        """
        if findings.suspicion is None:
            key = f"guard-deaths/{self._name}/{brief.content}/{brief.version}"
            findings.suspicion = Suspicion(key, recall=brief.priority >= Priority.LATE_LABEL)
        async with aclosing(segments), asyncio.TaskGroup() as group:
            try:
                async for segment in segments:
                    await self._slots.acquire(brief.tenant)
                    asked = group.create_task(self._one(segment, brief, findings, judged))
                    # Not in the task itself: one that is cancelled before its first step would keep its slot for ever.
                    asked.add_done_callback(lambda _: self._slots.release(brief.tenant))
            except (BadContent, Retryable) as error:
                findings.fail(Problem(error.reason, str(error), error.part))

    async def _one(self, segment: Segment, brief: Brief, findings: Findings, judged: Callable[[], object]) -> None:
        try:
            findings.add(segment, await self._recall_or_ask(segment, brief, findings))
        except (BadContent, Retryable) as error:
            findings.fail(Problem(error.reason, str(error), error.part or segment.part))
        judged()

    async def _recall_or_ask(self, segment: Segment, brief: Brief, findings: Findings) -> SegmentScore:
        if not brief.memo:
            return await self._attribute(segment, brief, findings)
        # Texts come first, so that by now it is known of all of them, also of those too long to be judged with the media.
        blame = segment.text is None and findings.text_unsafe() >= brief.floor
        told = digest((brief.prompt_digest, brief.floor, blame, [(turn.role, turn.text) for turn in brief.context]))
        key = segment_key(
            brief.tenant, segment_digest(segment, digest((brief.text, brief.role))), told, brief.model.digest, brief.plan_digest
        )
        memo = await self._store.recall(key)
        METRICS.count("omniguard_cache_lookups_total", kind="segment", result="miss" if memo is None else "hit")
        if memo is not None:
            return replace(memo, part=segment.part, index=segment.index)
        score = await self._attribute(segment, brief, findings)
        await self._store.remember(key, score, content=brief.content, version=brief.version)
        return score

    async def _attribute(self, segment: Segment, brief: Brief, findings: Findings) -> SegmentScore:
        text = brief.text if segment.text is None else ""
        media = segment.media
        if not media:
            raise BadContent(
                Reason.NOT_ASSESSED, f"segment {segment.index} holds neither picture nor sound; nothing was examined"
            )
        first = await self._ask(segment, media, text, brief, findings)
        together = JOINT if len(media) + bool(text) > 1 else media[0].value
        scores = {together: first.event.unsafe}
        modalities: tuple[str, ...] = ()
        if first.event.unsafe >= brief.floor:
            modalities = await self._reask(segment, text, brief, scores, findings) if together == JOINT else (together,)
        return SegmentScore(
            part=segment.part,
            index=segment.index,
            scores=scores,
            t0=segment.t0,
            t1=segment.t1,
            categories=first.categories,
            modalities=modalities,
            assessed={m.value: tuple(sorted(first.event.assessed.get(m.value, ()))) for m in media},
            evidence=tuple(Evidence(e.kind, e.start, e.end, e.category, e.score) for e in first.event.evidence),
            free=free_names(first.free, (brief.text, segment.text or "", *(turn.text for turn in brief.context))),
        )

    async def _reask(
        self, segment: Segment, text: str, brief: Brief, scores: dict[str, float], findings: Findings
    ) -> tuple[str, ...]:
        """Fill `scores` with each medium's own; return what shows the harm."""
        for medium in segment.media:
            scores[medium.value] = (await self._ask(segment, (medium,), "", brief, findings)).event.unsafe
        over = tuple(m.value for m in segment.media if scores[m.value] >= brief.floor)
        if over or not text:
            return over or (JOINT,)
        if len(segment.media) > 1 and (await self._ask(segment, segment.media, "", brief, findings)).event.unsafe >= brief.floor:
            return (JOINT,)
        return (Modality.TEXT.value,) if findings.text_unsafe() >= brief.floor else (JOINT,)

    async def _ask(self, segment: Segment, media: Sequence[Modality], text: str, brief: Brief, findings: Findings) -> Label:
        parts, blobs = wire_parts(segment, media, text, brief.role)

        async def ask() -> Label:
            request = GuardRequest(
                mode=Mode.LABEL,
                tenant=brief.tenant,
                policy=brief.categories,
                parts=parts,
                context=tuple(WireTurn(role=t.role, text=t.text) for t in brief.context),
                categories_from=brief.floor,
                deadline_ms=deadline_ms(brief.deadline, self._clock),
                priority=brief.priority,
                traceparent=brief.traceparent,
            )
            return await self._guard.label(request, blobs, affinity=brief.affinity)

        assert findings.suspicion is not None
        label = await self._trials.ask(findings.suspicion, ask)
        if label.event.digest and label.event.digest != brief.model.digest:
            findings.stale = True
            raise Retryable(Reason.GUARD_FAILED, "the guard changed its model while this upload was judged; it is judged again")
        return label


def wire_parts(
    segment: Segment, media: Sequence[Modality], text: str, role: str | None = None
) -> tuple[tuple[WirePart, ...], list[bytes]]:
    """The segment as the guard reads it: text (of `role`) first, then frames, then sound. `media` limits what is shown of it."""
    parts = [WirePart(id="text", modality="text", text=text, role=role)] if text else []
    blobs: list[bytes] = []
    if segment.text is not None:
        parts.append(WirePart(id=segment.part, modality="text", text=segment.text, role=segment.role))
    visual = next((m for m in media if m in (Modality.IMAGE, Modality.VIDEO)), None)
    if segment.frames and visual is not None:
        blobs += [frame.data for frame in segment.frames]
        parts.append(
            WirePart(
                id=segment.part,
                modality="image" if visual is Modality.IMAGE else "video",
                media=(0, len(blobs)),
                encoding="jpeg",
                frame_times=tuple(frame.time for frame in segment.frames),
                t0=segment.t0,
                t1=segment.t1,
            )
        )
    if segment.sound is not None and Modality.AUDIO in media:
        parts.append(
            WirePart(
                id=segment.part,
                modality="audio",
                media=(len(blobs), len(blobs) + 1),
                encoding="pcm16",
                sample_rate=segment.sound.sample_rate,
                t0=segment.t0,
                t1=segment.t1,
            )
        )
        blobs.append(segment.sound.data)
    return tuple(parts), blobs


def deadline_ms(deadline: Deadline, clock: Clock) -> int | None:
    """Milliseconds left, for the wire; None where there is no deadline."""
    left = deadline.left(clock.monotonic())
    return None if left == float("inf") else int(left * 1000)
