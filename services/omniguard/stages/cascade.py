"""Cascade: a cheaper model looks first, and stands for the full one where the policy allows it and it found nothing.

Whatever it cannot say, or cannot say in time, goes on to the full model, and so does a sample of what it would have passed. It
never makes a verdict worse than that it takes a bounded share of the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from omniguard.domain.cache_keys import assessment_key, digest
from omniguard.domain.cascade import Audits, GoesOn, barred, beyond, vouches
from omniguard.domain.chance import drawn
from omniguard.domain.content import FetchedPart, MediaInfo, Modality, Upload
from omniguard.domain.deadline import Deadline
from omniguard.domain.decision import Decision, Problem, Status
from omniguard.domain.plan import ChunkPlan
from omniguard.domain.policy import Action, Policy
from omniguard.domain.reason import Reason
from omniguard.domain.scores import Assessment, ModelInfo
from omniguard.guard.wire import Capabilities
from omniguard.observability import METRICS
from omniguard.ports import AssessmentStore, Clock
from omniguard.stages.chunk import Chunk, plan_for
from omniguard.stages.findings import Findings
from omniguard.stages.judge import Brief, Judge
from omniguard.stages.model import LoadedModel

REST_SECONDS = 5.0
"""How long nobody asks a first stage that was away: else every upload would wait for it in vain."""
_WHY = {
    Reason.DEADLINE: GoesOn.LATE,
    Reason.GUARD_UNAVAILABLE: GoesOn.AWAY,
    Reason.GUARD_FAILED: GoesOn.AWAY,
    Reason.UNSUPPORTED: GoesOn.REFUSED,
    Reason.NOT_ASSESSED: GoesOn.NOT_ASSESSED,
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the first stage may take: a share of the time left, and never more than `seconds`."""

    share: float = 0.2
    seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class Stood:
    """What the first stage found. `kept` is an assessment from the cache, None where it looked itself."""

    model: ModelInfo
    plan: ChunkPlan
    key: str
    findings: Findings
    kept: Assessment | None


class FirstStage:
    """Asks the cheaper model. `judge` and `model` are its own; decoder, store and clock are the full model's."""

    def __init__(
        self,
        name: str,
        model: LoadedModel,
        judge: Judge,
        chunk: Chunk,
        store: AssessmentStore,
        clock: Clock,
        plan: ChunkPlan,
        *,
        salt: str,
        patience: Patience | None = None,
    ) -> None:
        """`name` is the model's in Triton; `salt` keeps an uploader from working out what will be audited."""
        self._name, self._model, self._judge, self._chunk = name, model, judge, chunk
        self._store, self._clock, self._plan = store, clock, plan
        self._salt, self._patience = salt, patience or Patience()
        self._audits = Audits()
        self._rests_until = float("-inf")

    async def screen(
        self,
        upload: Upload,
        policy: Policy,
        fetched: Sequence[FetchedPart],
        infos: dict[str, MediaInfo],
        brief: Brief,
        *,
        problems: bool,
    ) -> Stood | GoesOn:
        """Look at an upload; `brief` is the full model's, `problems` is whether a part of it could not be had.

        Raises nothing for what the first stage does or fails to do.
        """
        screened = GoesOn.PROBLEM if problems else await self._screen(upload, policy, fetched, infos, brief)
        METRICS.count("omniguard_cascade_uploads_total", outcome=screened if isinstance(screened, GoesOn) else "passed")
        return screened

    def compare(self, decision: Decision) -> None:
        """Note what the full model came to where an audit sent an upload on; no judgement says nothing about the first stage."""
        if decision.status is not Status.FINAL:
            METRICS.count("omniguard_cascade_audits_total", result="nothing")
            return
        harmful = decision.action is not Action.ALLOW
        METRICS.count("omniguard_cascade_audits_total", result="harmful" if harmful else "harmless")
        estimate = self._audits.note(harmful=harmful)
        low, high = estimate.interval
        for bound, value in (("low", low), ("estimate", estimate.share), ("high", high)):
            METRICS.set("omniguard_cascade_missed_harm", value, bound=bound)

    async def _screen(
        self, upload: Upload, policy: Policy, fetched: Sequence[FetchedPart], infos: dict[str, MediaInfo], brief: Brief
    ) -> Stood | GoesOn:
        made_of = _made_of(fetched, infos)
        if why := barred(policy, made_of, context=bool(upload.context), problems=False):
            return why
        capabilities = self._model.at_hand()
        if capabilities is None or self._clock.monotonic() < self._rests_until:
            return GoesOn.AWAY
        if any(not vouches(policy, m, capabilities.assessed.get(m, ())) for m in made_of):
            return GoesOn.NOT_ASSESSED
        found = await self._find_or_look(upload, policy, fetched, infos, brief, capabilities)
        if found.findings.problems:
            return self._gave_up(found.findings)
        assessment = found.kept or found.findings.assessment(found.model, policy.floor)
        declared = {part.id: part.modality for part in upload.parts}
        if why := beyond(assessment, policy, declared, context=bool(upload.context), problems=False):
            return why
        token = digest(("audit", self._salt, brief.tenant, [part.sha256 for part in fetched]))
        return GoesOn.AUDIT if policy.cascade and drawn(token, policy.cascade.audit) else found

    async def _find_or_look(
        self,
        upload: Upload,
        policy: Policy,
        fetched: Sequence[FetchedPart],
        infos: dict[str, MediaInfo],
        brief: Brief,
        capabilities: Capabilities,
    ) -> Stood:
        """What it says, whether or not it may stand by it."""
        model = ModelInfo(self._name, capabilities.digest, capabilities.engine, capabilities.calibration)
        plan = plan_for(capabilities, self._plan)
        parts = [(part.modality.value, part.part.role, part.sha256) for part in fetched]
        key = assessment_key(brief.tenant, parts, upload.context, policy.prompt_digest, model.digest, plan.digest)
        kept = await self._store.get(key)
        if kept is not None:
            return Stood(model, plan, key, Findings(), kept.renamed({str(i): part.id for i, part in enumerate(upload.parts)}))
        told = replace(brief, floor=policy.floor, text=brief.text[: plan.text_window], model=model, plan_digest=plan.digest)
        return Stood(model, plan, key, await self._look(fetched, infos, plan, told), None)

    async def _look(self, fetched: Sequence[FetchedPart], infos: dict[str, MediaInfo], plan: ChunkPlan, brief: Brief) -> Findings:
        findings, now = Findings(), self._clock.monotonic()
        limit = min(self._patience.seconds, self._patience.share * brief.deadline.left(now))
        told = replace(brief, deadline=Deadline(now + limit))
        for part, info in infos.items():
            findings.probed(part, info)
        try:
            async with asyncio.timeout(limit):
                await self._judge.judge(self._chunk.texts(fetched, plan), told, findings)
                media = self._chunk.media(fetched, infos, plan, told.deadline, findings)
                await self._judge.judge(media, told, findings)
        except TimeoutError:
            findings.fail(Problem(Reason.DEADLINE, "the first stage's share of the time was over before the upload's end"))
        return findings

    def _gave_up(self, findings: Findings) -> GoesOn:
        if findings.stale:
            self._model.forget()
        why = _WHY.get(findings.problems[0].reason, GoesOn.PROBLEM)
        if why is GoesOn.AWAY or (why is GoesOn.LATE and findings.merged == 0):
            self._rests_until = self._clock.monotonic() + REST_SECONDS
        return why


def _made_of(fetched: Sequence[FetchedPart], infos: dict[str, MediaInfo]) -> set[Modality]:
    """As far as probing tells: pictures in a sound file, and sound in a video, are a modality of their own."""
    sounding = {Modality.AUDIO for info in infos.values() if info.has_sound}
    seen = {
        Modality.VIDEO for part in fetched if part.modality is Modality.AUDIO and part.id in infos and infos[part.id].has_frames
    }
    covers = {Modality.IMAGE for info in infos.values() if info.covers}
    return {part.modality for part in fetched} | sounding | seen | covers
