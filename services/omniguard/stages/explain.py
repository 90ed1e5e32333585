"""Explain: what follows a verdict that promised a critique. The promise is kept: by the text, or by why there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog

from omniguard.domain.cache_keys import content_hash
from omniguard.domain.content import Segment
from omniguard.domain.decision import Status
from omniguard.domain.policy import Outcome
from omniguard.domain.scores import Critique
from omniguard.domain.verdict import CritiqueRecord, NoCritique, Verdict, number_of
from omniguard.observability import METRICS, span, traceparent
from omniguard.ports import Clock
from omniguard.stages.critic import Critic
from omniguard.stages.examine import Examination, Examine, Task, wire_categories
from omniguard.stages.publish import Publish
from omniguard.stages.window import Slot

T = TypeVar("T")
log = structlog.get_logger("omniguard.explain")


@dataclass(frozen=True, slots=True)
class Explain:
    """Runs behind the verdict."""

    examine: Examine
    critic: Critic
    publish: Publish
    clock: Clock

    async def segments(self, slot: Slot, task: Task, exam: Examination, verdict: Verdict) -> list[Segment]:
        """What the critique is to speak of: still at hand, or decoded once more for a kept assessment."""
        if verdict.critique_ref is None or exam.assessment.critique is not None:
            return []
        wanted = verdict.decision.deciding
        found = exam.findings.kept(wanted)
        if len(found) == len(wanted):
            return found
        return await self._or(slot, self.examine.again(task, exam, wanted), found, limit=self.critic.timeout)

    async def explain(self, slot: Slot, task: Task, exam: Examination, verdict: Verdict, segments: list[Segment]) -> None:
        """Publish the critique, or why there is none."""
        written: Critique | NoCritique | None = exam.assessment.critique
        if written is None:
            with span("omniguard.critique", stage="critique"):
                written = await self._or(slot, self._write(task, exam, verdict, segments), NoCritique.UNAVAILABLE)
            if isinstance(written, Critique) and not slot.superseded:
                exam.kept = replace(exam.assessment, critique=written)
                await self.examine.keep(exam, task)
        # The content may have been deleted meanwhile: then nothing more is said about it.
        await self._publish(verdict, NoCritique.UNAVAILABLE if slot.superseded else written)

    async def settle_promise(self, verdict: Verdict, request: int) -> None:
        """Answer the critiques that an earlier delivery of this event may have promised before its worker died.

        What that delivery said stands, whatever this one came to, and its id can be computed; where there was none, the record
        speaks of a verdict that nobody has seen. What `verdict` promises itself is not answered here.
        """
        explained = verdict.policy.critique_for if verdict.policy else ()
        for status in (Status.FINAL, Status.INDETERMINATE):
            earlier = replace(verdict, number=number_of(request, status))
            promised = status is Status.FINAL or Outcome.INDETERMINATE in explained or earlier.called_up
            if promised and earlier.id != verdict.critique_ref:
                await self._publish(earlier, NoCritique.UNAVAILABLE)

    async def _write(self, task: Task, exam: Examination, verdict: Verdict, segments: list[Segment]) -> Critique | NoCritique:
        if not segments:
            return NoCritique.UNAVAILABLE
        upload, policy = task.upload, task.tenant.policy
        written = await self.critic.write(
            verdict.decision,
            segments,
            tenant=upload.identity.tenant,
            affinity=content_hash(upload.identity.tenant, exam.fetched),
            categories=wire_categories(policy),
            context=upload.context,
            traceparent=traceparent(),
        )
        if isinstance(written, Critique):
            return replace(written, segments=tuple(dict.fromkeys((s.part, s.index) for s in segments)))
        return written

    async def _publish(self, verdict: Verdict, written: Critique | NoCritique) -> None:
        METRICS.count("omniguard_critiques_total", outcome=written if isinstance(written, NoCritique) else "written")
        await self.publish.critique(CritiqueRecord(verdict, written, self.clock.now()))

    async def _or(self, slot: Slot, work: Coroutine[None, None, T], otherwise: T, *, limit: float | None = None) -> T:
        """The work's result; `otherwise` where the slot must hurry, `limit` seconds are over, or the work fails."""
        working, hurry = asyncio.create_task(work), asyncio.create_task(slot.hurry.wait())
        try:
            await asyncio.wait({working, hurry}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else otherwise
        except Exception:  # the border: a bug of ours costs this verdict its critique, not the worker
            log.exception("a step failed in a way it must not", stage="critique")
            return otherwise
        finally:
            working.cancel()
            hurry.cancel()
            await asyncio.wait({working, hurry})
