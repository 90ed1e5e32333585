"""Decide: from an examination to a verdict with its address. The rules are `domain.decision.decide`."""

from __future__ import annotations

from dataclasses import replace

from omniguard.domain.cascade import Stage
from omniguard.domain.content import Cause, Deletion, Identity, Upload
from omniguard.domain.decision import Assurance, Decision, Problem, Status, decide
from omniguard.domain.policy import Action
from omniguard.domain.revision import RETRACTION_EPOCH, RETRACTION_REQUEST, provisional
from omniguard.domain.scores import Assessment
from omniguard.domain.tenant import Tenant
from omniguard.domain.verdict import Verdict, number_of
from omniguard.ports import Clock
from omniguard.stages.calibrated import Calibrated
from omniguard.stages.examine import UNKNOWN_MODEL, Examination


class Decide:
    """Applies the tenant's policy in force."""

    def __init__(self, clock: Clock, calibrated: Calibrated | None = None) -> None:
        """The clock dates the verdicts."""
        self._clock = clock
        self._calibrated = calibrated or Calibrated()

    def decide(self, upload: Upload, tenant: Tenant, exam: Examination) -> Verdict:
        """The verdict over what was found so far."""
        verdict = self._decide(upload, tenant, exam)
        if exam.assessment.segments and exam.stage is Stage.FULL:
            self._calibrated.count(verdict.decision, exam.assessment.model.digest)
        return verdict

    def least_block(self, upload: Upload, tenant: Tenant, exam: Examination) -> float:
        """The smallest score of the model under which nothing blocks."""
        least = min(t.block for t in tenant.policy.thresholds.values())
        return self._calibrated.raw(least, exam.model.digest, upload)

    def _decide(self, upload: Upload, tenant: Tenant, exam: Examination) -> Verdict:
        parts = {part.id: part.modality for part in upload.parts}
        decision = decide(exam.assessment, tenant.policy, parts, exam.findings.problems, self._calibrated.loaded)
        verdict = self._verdict(upload.identity, upload.request, upload.cause, tenant, decision, exam)
        if verdict.called_up and decision.deciding:
            return replace(verdict, decision=replace(decision, critique_wanted=True))
        return verdict

    def provisional(self, upload: Upload, tenant: Tenant, exam: Examination) -> Verdict | None:
        """A provisional verdict if what was found so far already calls for a block, else None."""
        verdict = self._decide(upload, tenant, exam)
        if verdict.decision.action is not Action.BLOCK or verdict.decision.status is not Status.FINAL:
            return None
        decision = replace(verdict.decision, status=Status.PROVISIONAL, critique_wanted=False)
        return replace(verdict, decision=decision, number=provisional(upload.request, exam.findings.merged))

    def unexamined(self, identity: Identity, request: int, cause: Cause, tenant: Tenant | None, problem: Problem) -> Verdict:
        """The answer to an event that is not examined at all."""
        if tenant is None:
            decision = Decision(
                status=Status.INDETERMINATE,
                action=Action.REVIEW,
                assurance=Assurance.PARTIAL,
                reason=problem.reason,
                explanation=problem.message,
                unsafe=0.0,
                problems=(problem,),
            )
        else:
            decision = decide(Assessment(UNKNOWN_MODEL), tenant.policy, {}, [problem])
        return self._verdict(identity, request, cause, tenant, replace(decision, critique_wanted=False), None)

    def retracted(self, deletion: Deletion, tenant: Tenant | None) -> Verdict:
        """The answer to a deletion."""
        decision = Decision(
            status=Status.RETRACTED,
            action=Action.ALLOW,
            assurance=Assurance.PARTIAL,
            reason=None,
            explanation="The content was deleted on the platform; what was said of it no longer applies.",
            unsafe=0.0,
        )
        verdict = self._verdict(deletion.identity, RETRACTION_REQUEST, Cause.UPLOAD, tenant, decision, None)
        return replace(verdict, policy_epoch=RETRACTION_EPOCH)

    def _verdict(
        self, identity: Identity, request: int, cause: Cause, tenant: Tenant | None, decision: Decision, exam: Examination | None
    ) -> Verdict:
        return Verdict(
            identity=identity,
            cause=cause,
            policy=tenant.policy if tenant else None,
            policy_epoch=tenant.policy_epoch if tenant else 0,
            number=number_of(request, decision.status),
            decision=decision,
            enforce=tenant.enforce if tenant else True,
            model=replace(exam.assessment.model, calibration=decision.calibration)
            if exam and exam.model is not UNKNOWN_MODEL
            else None,
            time=self._clock.now(),
            cache=exam.cache if exam else None,
            stage=exam.stage if exam else Stage.FULL,
        )
