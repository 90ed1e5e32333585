"""Examine: from a parsed upload to an assessment, out of the cache or by fetching, chunking and judging."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from omniguard.domain.cache_keys import assessment_key, content_hash
from omniguard.domain.cascade import GoesOn, Stage
from omniguard.domain.content import FetchedPart, MediaInfo, Part, Segment, Upload
from omniguard.domain.deadline import Deadline
from omniguard.domain.decision import DECIDING, Decision, Problem
from omniguard.domain.plan import ChunkPlan
from omniguard.domain.policy import Policy
from omniguard.domain.reason import Reason
from omniguard.domain.scores import Assessment, ModelInfo
from omniguard.domain.tenant import Tenant
from omniguard.errors import Retryable
from omniguard.guard.wire import MODEL, WireCategory
from omniguard.observability import METRICS, span, traceparent
from omniguard.ports import AssessmentStore, Clock
from omniguard.stages.calibrated import Calibrated
from omniguard.stages.cascade import FirstStage
from omniguard.stages.chunk import Chunk, plan_for
from omniguard.stages.findings import Findings
from omniguard.stages.ingest import Ingest
from omniguard.stages.judge import Brief, Judge
from omniguard.stages.model import LoadedModel

MODEL_CHANGES = 3
"""How often one examination begins again because another model answered; then it stays a passing failure of the guard."""
_REASONS_FIRST = (
    "the guard reasons before its label, and no live lane may have it alone; expected one that labels first, or a first stage "
    "and a policy with a cascade; the late lane judges this upload"
)
UNKNOWN_MODEL = ModelInfo(MODEL, "unknown", "unknown")


@dataclass(frozen=True, slots=True)
class Task:
    """One upload to examine. `heavy_seconds` is the length from which media belong on a slower lane; None: never."""

    upload: Upload
    tenant: Tenant
    deadline: Deadline
    priority: int
    folder: Path
    heavy_seconds: float | None
    weigh: Callable[[int], None]
    progress: Callable[[], None] = lambda: None
    judged: Callable[[], object] = lambda: None


@dataclass(slots=True)
class Examination:
    """What has come of it so far; valid at any moment, so that a deadline finds what is already known.

    `floor` is the policy's lowest threshold as a score of the model.
    `stage` is whose findings these are; `audited`: the first stage would have stood, and the full model was asked by chance.
    `cache` is how a kept assessment was found: `content` by the bytes we read, `claimed` by the sha256 the event claims.
    """

    floor: float
    findings: Findings = field(default_factory=Findings)
    model: ModelInfo = UNKNOWN_MODEL
    kept: Assessment | None = None
    cache: str | None = None
    stage: Stage = Stage.FULL
    audited: bool = False
    heavy: bool = False
    key: str | None = None
    timings_ms: dict[str, int] = field(default_factory=dict)
    fetched: list[FetchedPart] = field(default_factory=list)
    infos: dict[str, MediaInfo] = field(default_factory=dict)
    plan: ChunkPlan = field(default_factory=ChunkPlan)

    @property
    def seconds(self) -> float:
        """How long all media of the upload last."""
        return sum(info.seconds or 0.0 for info in self.infos.values())

    @property
    def assessment(self) -> Assessment:
        """The kept one, or what was found so far."""
        return self.kept or self.findings.assessment(self.model, self.floor)


class Examine:
    """Composes ingest, chunk and judge around the cache."""

    def __init__(
        self,
        model: LoadedModel,
        ingest: Ingest,
        chunk: Chunk,
        judge: Judge,
        store: AssessmentStore,
        clock: Clock,
        plan: ChunkPlan,
        calibrated: Calibrated | None = None,
        first: FirstStage | None = None,
        *,
        live: bool = False,
    ) -> None:
        """`plan` is the operator's; the loaded engine's limits are put on it. `first` is asked where a policy has a cascade.

        On a `live` lane a model that reasons before its label is not asked alone.
        """
        self._first, self._live = first, live
        self._calibrated = calibrated or Calibrated()
        self._model, self._ingest, self._chunk, self._judge = model, ingest, chunk, judge
        self._store, self._clock, self._plan = store, clock, plan

    async def examine(self, task: Task, exam: Examination) -> None:
        """Fill `exam`. Failures of content and dependencies become problems in its findings; nothing of theirs is raised."""
        for _ in range(MODEL_CHANGES):
            exam.findings, exam.stage, exam.audited = Findings(), Stage.FULL, False
            try:
                capabilities = await self._model.capabilities(task.deadline.left(self._clock.monotonic()))
            except Retryable as error:
                exam.findings.fail(Problem(error.reason, str(error)))
                return
            if self._live and not capabilities.label_first and (self._first is None or task.tenant.policy.cascade is None):
                exam.findings.fail(Problem(Reason.GUARD_UNAVAILABLE, _REASONS_FIRST))
                return
            exam.model = ModelInfo(MODEL, capabilities.digest, capabilities.engine, capabilities.calibration)
            exam.plan = plan_for(capabilities, self._plan)
            exam.floor = self._calibrated.raw(task.tenant.policy.floor, capabilities.digest, task.upload)
            await self._find_or_do(task, exam)
            if not (exam.findings.stale or (exam.findings.refused and await self._model.changed(capabilities))):
                return
            self._model.forget()  # changed under way: what was found belongs to two models, so look again

    async def again(self, task: Task, exam: Examination, wanted: tuple[tuple[str, int], ...]) -> list[Segment]:
        """The wanted segments of a kept assessment, decoded anew for its critique; what cannot be had is left out."""
        found: dict[tuple[str, int], list[Segment]] = {}
        if not exam.fetched:
            exam.fetched = await self._ingest.ingest(task.upload, task.tenant.fetch, task.folder, task.deadline, Findings())
        infos = exam.infos or await self._chunk.probe(exam.fetched, task.deadline, Findings())
        async for segment in self._segments(exam, infos, task.deadline, Findings()):
            key = (segment.part, segment.index)
            if key in wanted:
                found.setdefault(key, []).append(segment)  # a window may hold further sounds
            elif len(found) == len(wanted):
                break
        return [segment for key in wanted for segment in found.get(key, ())][:DECIDING]

    def compare(self, exam: Examination, decision: Decision) -> None:
        """Note what an audit of the first stage came to, where this was one."""
        if exam.audited and self._first is not None:
            self._first.compare(decision)

    async def keep(self, exam: Examination, task: Task) -> None:
        """Put the assessment into the cache, unless something is missing from it."""
        assessment = exam.assessment
        judged = {segment.part for segment in assessment.segments}
        whole = all(part.id in judged for part in task.upload.parts) and all(c.complete for c in assessment.coverage.values())
        if exam.key is None or exam.findings.problems or not whole:
            return
        names = {part.id: str(i) for i, part in enumerate(task.upload.parts)}
        identity = task.upload.identity
        await self._store.put(exam.key, assessment.renamed(names), content=identity.key, version=identity.content_version)

    async def deleted(self, upload: Upload) -> bool:
        """Whether a deletion of this version is known by now."""
        return await self._store.deleted(upload.identity.key, upload.identity.content_version)

    async def _find_or_do(self, task: Task, exam: Examination) -> None:
        if task.tenant.trust_claimed_sha256 and await self._look_up(self._claimed_key(task, exam), "claimed", task, exam):
            return
        with _timed(exam, "fetch", self._clock), span("omniguard.fetch", stage="fetch"):
            exam.fetched = await self._ingest.ingest(task.upload, task.tenant.fetch, task.folder, task.deadline, exam.findings)
        task.weigh(sum(part.size for part in exam.fetched))
        if exam.findings.problems:
            await self._examine(task, exam)
            return
        exam.key = self._key(task, exam, [part.sha256 for part in exam.fetched])
        if await self._look_up(exam.key, "content", task, exam):
            return
        patience = min(task.deadline.left(self._clock.monotonic()) / 4, 60.0)
        async with self._store.single_flight(exam.key, patience) as ours:
            if not ours and await self._look_up(exam.key, "content", task, exam):
                return
            await self._examine(task, exam)
            if exam.cache is None:
                await self.keep(exam, task)

    async def _examine(self, task: Task, exam: Examination) -> None:
        with _timed(exam, "chunk", self._clock), span("omniguard.chunk", stage="probe"):
            exam.infos = await self._chunk.probe(exam.fetched, task.deadline, exam.findings)
        if task.heavy_seconds is not None and exam.seconds > task.heavy_seconds:
            exam.heavy = True
            return
        with _timed(exam, "judge", self._clock), span("omniguard.judge", stage="judge"):
            brief = self._brief(task, exam)
            if await self._stood(task, exam, brief):
                return
            # Text first: whether it is harmful alone decides what a medium's harm is put down to.
            await self._judge.judge(self._chunk.texts(exam.fetched, exam.plan), brief, exam.findings, task.judged)
            media = self._chunk.media(exam.fetched, exam.infos, exam.plan, task.deadline, exam.findings)
            await self._judge.judge(media, brief, exam.findings, task.judged)

    async def _stood(self, task: Task, exam: Examination, brief: Brief) -> bool:
        """Ask the first stage, where there is one for this policy. True if it stands; its findings are in `exam` then."""
        policy = task.tenant.policy
        if self._first is None or policy.cascade is None:
            return False
        problems = bool(exam.findings.problems)
        found = await self._first.screen(task.upload, policy, exam.fetched, exam.infos, brief, problems=problems)
        if isinstance(found, GoesOn):
            exam.audited = found is GoesOn.AUDIT
            return False
        exam.stage, exam.model, exam.plan, exam.floor = Stage.FIRST, found.model, found.plan, policy.floor
        exam.findings, exam.key, exam.kept = found.findings, found.key, found.kept
        exam.cache = "content" if found.kept else None
        return True

    async def _segments(
        self, exam: Examination, infos: dict[str, MediaInfo], deadline: Deadline, findings: Findings
    ) -> AsyncGenerator[Segment, None]:
        async for segment in self._chunk.texts(exam.fetched, exam.plan):
            yield segment
        async for segment in self._chunk.media(exam.fetched, infos, exam.plan, deadline, findings):
            yield segment

    async def _look_up(self, key: str | None, kind: str, task: Task, exam: Examination) -> bool:
        if key is None:
            return False
        kept = await self._store.get(key)
        hit = kept is not None and kept.serves(exam.floor)
        METRICS.count("omniguard_cache_lookups_total", kind=kind, result="hit" if hit else "miss")
        if kept is None or not hit:
            return False
        names = {str(i): part.id for i, part in enumerate(task.upload.parts)}
        exam.kept, exam.cache, exam.key = kept.renamed(names), kind, key
        return True

    def _claimed_key(self, task: Task, exam: Examination) -> str | None:
        if any(part.uri is not None and part.sha256 is None for part in task.upload.parts):
            return None
        return self._key(task, exam, [(part.sha256 if part.uri else None) or _inline_sha256(part) for part in task.upload.parts])

    def _key(self, task: Task, exam: Examination, hashes: list[str]) -> str:
        upload, policy = task.upload, task.tenant.policy
        parts = [(part.modality.value, part.role, sha256) for part, sha256 in zip(upload.parts, hashes, strict=True)]
        tenant = upload.identity.tenant
        return assessment_key(tenant, parts, upload.context, policy.prompt_digest, exam.model.digest, exam.plan.digest)

    def _brief(self, task: Task, exam: Examination) -> Brief:
        upload, policy = task.upload, task.tenant.policy
        texts = [part.part for part in exam.fetched if part.part.text]
        text, roles = "\n".join(part.text or "" for part in texts), {part.role for part in texts}
        return Brief(
            tenant=upload.identity.tenant,
            content=upload.identity.key,
            version=upload.identity.content_version,
            categories=wire_categories(policy),
            prompt_digest=policy.prompt_digest,
            floor=exam.floor,
            text=text[: exam.plan.text_window],
            context=upload.context,
            deadline=task.deadline,
            priority=task.priority,
            model=exam.model,
            plan_digest=exam.plan.digest,
            traceparent=traceparent(),
            role=roles.pop() if len(roles) == 1 else None,
            affinity=content_hash(upload.identity.tenant, exam.fetched),
            memo=len(exam.fetched) > 1 or len(text) > exam.plan.text_window or bool(exam.infos),
        )


def wire_categories(policy: Policy) -> tuple[WireCategory, ...]:
    """What the guard is told of a policy."""
    return _wire_categories(tuple((c.name, c.prompt) for c in policy.categories))


@lru_cache(maxsize=256)
def _wire_categories(told: tuple[tuple[str, str], ...]) -> tuple[WireCategory, ...]:
    return tuple(WireCategory(name=name, description=description) for name, description in told)


def _inline_sha256(part: Part) -> str:
    return hashlib.sha256(part.data if part.data is not None else (part.text or "").encode()).hexdigest()


@contextmanager
def _timed(exam: Examination, name: str, clock: Clock) -> Iterator[None]:
    start = clock.monotonic()
    try:
        yield
    finally:
        seconds = clock.monotonic() - start
        exam.timings_ms[name] = round(seconds * 1000)
        METRICS.observe("omniguard_stage_duration_seconds", seconds, stage=name)
