"""Moderate: one upload from examination to acknowledged verdict."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import structlog

from omniguard.domain.content import Upload
from omniguard.domain.deadline import Deadline, deadline_for
from omniguard.domain.decision import Problem
from omniguard.domain.lane import Lane
from omniguard.domain.reason import Reason
from omniguard.domain.record import Record
from omniguard.domain.tenant import Tenant
from omniguard.domain.verdict import DeadLetter, Verdict
from omniguard.guard.wire import Priority
from omniguard.observability import METRICS
from omniguard.ports import Clock
from omniguard.stages.decide import Decide
from omniguard.stages.examine import Examination, Examine, Task
from omniguard.stages.explain import Explain
from omniguard.stages.provisional import Provisional
from omniguard.stages.publish import Publish
from omniguard.stages.window import Slot

log = structlog.get_logger("omniguard.moderate")

GRACE_SECONDS = 0.5
"""Past the deadline the steps may still say themselves why they have nothing; then they are cut off."""
FIRST_PAUSE_SECONDS = 1.0
"""Between two tries on the late lane; each further one is twice as long."""
LONGEST_PAUSE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class LaneRules:
    """What sets a lane apart. `maximum` is its longest way from broker to verdict in seconds, None on the late lane.

    `heavy_seconds` is the length from which media go to the backfill lane; None where they stay. `late_max_age` is how long, in
    seconds, the late lane goes on trying, and `late_try_seconds` how long one try may take: what hangs keeps its place no longer.
    """

    lane: Lane
    maximum: float | None
    heavy_seconds: float | None
    late_max_age: float
    late_try_seconds: float = 14_400.0

    @property
    def priority(self) -> int:
        """Of this lane's label requests at the guard."""
        return {Lane.LIVE: Priority.LIVE_LABEL, Lane.BACKFILL: Priority.BACKFILL_LABEL, Lane.LATE: Priority.LATE_LABEL}[self.lane]


@dataclass(frozen=True, slots=True)
class Moderate:
    """`media_folder` holds each event's files while it is under way."""

    rules: LaneRules
    examine: Examine
    decide: Decide
    publish: Publish
    explain: Explain
    clock: Clock
    media_folder: Path

    async def moderate(self, record: Record, slot: Slot, upload: Upload, tenant: Tenant) -> str:
        """Return how it ended, once all that was promised is acknowledged."""
        with self._folder(upload) as folder:
            task = self._task(record, slot, upload, tenant, folder)
            exam = await self._examine_until_settled(record, slot, task)
            if exam is None:
                return "cancelled"
            if exam.heavy:
                await self.publish.defer(record, Lane.BACKFILL)
                return "deferred"
            verdict = self._finished(record, self.decide.decide(upload, tenant, exam), exam)
            self.examine.compare(exam, verdict.decision)
            slot.owes = verdict.critique_ref is not None
            deferred = await self._answer(record, slot, verdict, task.deadline)
            await self.publish.free_names(verdict, exam.assessment.free)
            segments = await self.explain.segments(slot, task, exam, verdict)
        slot.leave()
        if slot.owes:
            await self.explain.explain(slot, task, exam, verdict, segments)
        if slot.attempts > 1 and not deferred:
            await self.explain.settle_promise(verdict, upload.request)
        return verdict.decision.status.value

    @contextmanager
    def _folder(self, upload: Upload) -> Iterator[Path]:
        """Where the event's files go: a folder that the first file makes, so that a full disk is that part's problem."""
        if all(part.text is not None for part in upload.parts):
            yield self.media_folder
            return
        folder = self.media_folder / secrets.token_hex(8)
        try:
            yield folder
        finally:
            _remove(folder)

    def _task(self, record: Record, slot: Slot, upload: Upload, tenant: Tenant, folder: Path) -> Task:
        now, monotonic = self.clock.now(), self.clock.monotonic()
        if upload.time is not None:
            METRICS.observe("omniguard_clock_skew_seconds", (record.timestamp - upload.time).total_seconds())
        return Task(
            upload=upload,
            tenant=tenant,
            deadline=deadline_for(
                event=upload.deadline,
                produced=record.timestamp,
                lane_maximum=self.rules.maximum,
                now=now,
                monotonic=monotonic,
            ),
            priority=self.rules.priority,
            folder=folder,
            heavy_seconds=self.rules.heavy_seconds,
            weigh=slot.weigh,
            progress=slot.progress,
        )

    async def _examine_until_settled(self, record: Record, slot: Slot, task: Task) -> Examination | None:
        """Once, but on the late lane: there again and again while the reason is a passing one, until the event is too old.

        None where the content was deleted meanwhile.
        """
        pause = FIRST_PAUSE_SECONDS
        while True:
            if await self._deleted(task):
                return None
            exam = await self._examine_once(task)
            if await self._deleted(task):
                return None
            if self.rules.lane is not Lane.LATE or exam.heavy or self.too_old(record):
                return exam
            if not self.decide.decide(task.upload, task.tenant, exam).decision.passing:
                return exam
            task.progress()
            if task.folder != self.media_folder:
                await asyncio.to_thread(_remove, task.folder)
            task.weigh(0)
            async with slot.resting():
                await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _examine_once(self, task: Task) -> Examination:
        exam = Examination(task.tenant.policy.floor)
        early = Provisional(task.upload, task.tenant, exam, self.decide, self.publish)
        left = task.deadline.left(self.clock.monotonic())
        late = self.rules.lane is Lane.LATE
        limit = self.rules.late_try_seconds if late else left + GRACE_SECONDS

        def judged() -> None:
            task.progress()
            early.consider()

        try:
            async with asyncio.timeout(None if limit == float("inf") else limit):
                await self.examine.examine(replace(task, judged=judged), exam)
        except asyncio.CancelledError:
            early.abandon()
            raise
        except TimeoutError:
            found = f"{limit:g} s, the limit of one try on the late lane, were over" if late else "the deadline passed"
            exam.findings.fail(Problem(Reason.DEADLINE, f"{found} before the upload was examined to its end"))
        except Exception as error:  # the border: a bug of ours costs this upload its examination, not the worker
            log.exception("a step failed in a way it must not", stage="judge")
            exam.findings.fail(
                Problem(Reason.INTERNAL, f"a step failed in a way it must not ({type(error).__name__}); report it")
            )
        await early.settle()
        return exam

    async def _deleted(self, task: Task) -> bool:
        """On a slower lane, where this is a copy: its deletion went another way, and its retraction is the verdict.

        On the live lane a deletion comes behind its upload and cancels it; an upload behind a deletion is a new one.
        """
        return self.rules.lane is not Lane.LIVE and await self.examine.deleted(task.upload)

    def too_old(self, record: Record) -> bool:
        """Whether the late lane has tried long enough."""
        return self.clock.now() - record.timestamp > timedelta(seconds=self.rules.late_max_age)

    def _finished(self, record: Record, verdict: Verdict, exam: Examination) -> Verdict:
        age = (self.clock.now() - record.timestamp).total_seconds()
        known = sum(exam.timings_ms.values())
        total = max(0, round(age * 1000))
        timings = {"queue": max(0, total - known), **exam.timings_ms, "total": total}
        verdict = replace(verdict, timings_ms=timings)
        return verdict.promising_critique() if verdict.decision.critique_wanted else verdict

    async def _answer(self, record: Record, slot: Slot, verdict: Verdict, deadline: Deadline) -> bool:
        """The verdict first; then what the operator and the late lane get of it. True if the late lane goes on with it."""
        await self.publish.verdict(verdict)
        age = (self.clock.now() - record.timestamp).total_seconds()
        METRICS.observe("omniguard_verdict_age_seconds", max(0.0, age), lane=self.rules.lane.value)
        decision = verdict.decision
        if deadline.passed(self.clock.monotonic()) or decision.reason is Reason.DEADLINE:
            lane, status = self.rules.lane.value, decision.status.value
            METRICS.count("omniguard_deadline_misses_total", lane=lane, status=status)
        for problem in decision.problems:
            if not problem.reason.passing and problem.reason is not Reason.NOT_ASSESSED:
                letter = DeadLetter(problem.stage, problem.reason.value, problem.message, slot.attempts)
                await self.publish.dead_letter(record, letter)
                break  # one letter a record; the verdict lists the rest
        if decision.passing and self.rules.lane is not Lane.LATE:
            await self.publish.defer(record, Lane.LATE)
            return True
        if decision.passing and decision.reason is not None:
            letter = DeadLetter(
                "judge", decision.reason.value, f"gave up on the late lane: {decision.explanation}", slot.attempts
            )
            await self.publish.dead_letter(record, letter)
        return False


def _remove(folder: Path) -> None:
    """Drop what was fetched; what cannot be dropped goes with the process's own folder."""
    shutil.rmtree(folder, ignore_errors=True)
