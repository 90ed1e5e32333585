"""Pipeline: what becomes of a record. Parse it, then moderate, retract, defer or refuse it.

Three outcomes only. A verdict; the same record on a slower lane, acknowledged by the broker; a dead letter where nobody can say
whose content it is. Nothing is raised for what an event holds or what a dependency does. A refusal of the broker to take our own
records is the operator's to mend: it ends the process, with nothing acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from omniguard.contracts.content_event import Rejected, parse
from omniguard.contracts.topics import INPUT_MAX_BYTES
from omniguard.domain.content import Cause, Deletion, Identity, Upload
from omniguard.domain.decision import Problem, Status
from omniguard.domain.lane import Lane
from omniguard.domain.reason import Reason
from omniguard.domain.record import Record
from omniguard.domain.tenant import Tenant, Tenants
from omniguard.domain.verdict import DeadLetter
from omniguard.errors import Misconfigured, Unidentifiable
from omniguard.observability import METRICS, extract_context, span
from omniguard.observability.catalog import STORE_UNAVAILABLE
from omniguard.ports import AssessmentStore
from omniguard.stages import moderate
from omniguard.stages.decide import Decide
from omniguard.stages.explain import Explain
from omniguard.stages.intake import MAX_ATTEMPTS
from omniguard.stages.moderate import Moderate
from omniguard.stages.publish import Publish
from omniguard.stages.quota import Quotas
from omniguard.stages.window import Slot

log = structlog.get_logger("omniguard.pipeline")

MAX_PASSED_ON = INPUT_MAX_BYTES - 1024
"""Bytes of a record, unpacked, that every lane surely takes: a producer's compression may have let a larger one in."""
_NOT_FORGOTTEN = (
    "the content was retracted, but the assessment store did not answer, so that what it kept is there until its time is over; "
    "replay this letter once the store is back"
)
_REPORT = "a step failed in a way it must not; report it"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Composed in `bootstrap`. `tenants` gives the ones in force now."""

    lane: Lane
    tenants: Callable[[], Tenants]
    moderate: Moderate
    explain: Explain
    decide: Decide
    publish: Publish
    quotas: Quotas
    store: AssessmentStore

    async def carry(self, record: Record, slot: Slot) -> None:
        """Return when the event is done; see `stages.window.Handler`."""
        METRICS.count("omniguard_events_started_total")
        try:
            with span(
                "omniguard.event",
                parent=extract_context(record.headers),
                topic=record.partition.topic,
                partition=record.partition.number,
                offset=record.offset,
                lane=self.lane.value,
                attempts=slot.attempts,
            ):
                outcome = await self._carry(record, slot)
        except (asyncio.CancelledError, Misconfigured):
            # Given back in an orderly way: not the event's fault. A bug, like a kill, leaves the start counted.
            METRICS.count("omniguard_events_finished_total", outcome="cancelled")
            if slot.owes:  # the next start must know that it is not the first
                raise
            if slot.superseded:
                await self._end_deleted(record, slot)
                await self.store.settle(record.id)
            else:
                await self.store.give_back(record.id)
            raise
        METRICS.count("omniguard_events_finished_total", outcome=outcome)
        self.publish.finished(record)
        await self.store.settle(record.id)

    async def _carry(self, record: Record, slot: Slot) -> str:
        try:
            event = parse(record.key, record.value, record.headers)
        except Unidentifiable as error:
            await self.publish.dead_letter(record, DeadLetter("parse", type(error).__name__, str(error), slot.attempts))
            return "dead_letter"
        except Rejected as error:
            problem = Problem(error.reason, str(error), error.part, stage="parse")
            return await self._refuse(record, slot, error.identity, error.request, error.cause, problem)
        except Exception as error:  # the border: a record that trips a bug of ours must not stop its lane
            log.exception("a record could not be read in a way it must not", stage="parse")
            await self.publish.dead_letter(record, DeadLetter("parse", type(error).__name__, _REPORT, slot.attempts))
            return "dead_letter"
        tenant = self.tenants().find(event.identity.tenant)
        if isinstance(event, Deletion):
            return await self._retract(record, slot, event, tenant)
        if slot.superseded:
            await self._end_deleted(record, slot)
            return "cancelled"
        return await self._take(record, slot, event, tenant)

    async def _take(self, record: Record, slot: Slot, upload: Upload, tenant: Tenant | None) -> str:
        if tenant is None:
            said = "the tenant is not listed; add it, or a default, to tenants.yaml"
            problem = Problem(Reason.UNKNOWN_TENANT, said, stage="parse")
            return await self._refuse(record, slot, upload.identity, upload.request, upload.cause, problem)
        if slot.attempts > MAX_ATTEMPTS:
            problem = Problem(
                Reason.CRASH_SUSPECT,
                f"workers died {slot.attempts - 1} times while this event was under way, so it was not touched again; "
                "replay it from the dead letters once the cause is mended",
                stage="parse",
            )
            outcome = await self._refuse(record, slot, upload.identity, upload.request, upload.cause, problem)
            await self._keep_promise(upload, tenant, problem)
            return outcome
        if record.size + sum(len(name.encode()) + len(value) for name, value in record.headers.items()) > MAX_PASSED_ON:
            said = f"the record is too large to be passed on; expected at most {MAX_PASSED_ON} bytes"
            problem = Problem(Reason.TOO_LARGE, said, stage="parse")
            return await self._refuse(record, slot, upload.identity, upload.request, upload.cause, problem)
        if self.lane is Lane.LIVE and not self.quotas.admit(tenant):
            await self.publish.defer(record, Lane.BACKFILL)
            return "deferred"
        return await self._moderate(record, slot, upload, tenant)

    async def _moderate(self, record: Record, slot: Slot, upload: Upload, tenant: Tenant) -> str:
        try:
            outcome = await self.moderate.moderate(record, slot, upload, tenant)
            if outcome == "cancelled":
                # Once more, for an earlier start may have died between its write and its look at the deletion's mark.
                await self.store.forget(upload.identity.key, upload.identity.content_version)
                await self._end_deleted(record, slot)
            return outcome
        except Misconfigured:
            raise
        except Exception as error:  # the border: a bug of ours costs this upload its judgement, not the worker
            log.exception("a step failed in a way it must not", stage="decide")
            problem = Problem(Reason.INTERNAL, f"{_REPORT} ({type(error).__name__})")
        outcome = await self._refuse(record, slot, upload.identity, upload.request, upload.cause, problem)
        if slot.owes or slot.attempts > 1:
            await self._keep_promise(upload, tenant, problem)
        return outcome

    async def _keep_promise(self, upload: Upload, tenant: Tenant, problem: Problem) -> None:
        """An earlier delivery may have published a final with a critique to follow."""
        verdict = self.decide.unexamined(upload.identity, upload.request, upload.cause, tenant, problem)
        await self.explain.settle_promise(verdict, upload.request)

    async def _end_deleted(self, record: Record, slot: Slot) -> None:
        """A deletion ended this upload; what an earlier start of it may have promised is answered all the same."""
        event = parse(record.key, record.value, record.headers)
        tenant = self.tenants().find(event.identity.tenant)
        if slot.attempts > 1 and isinstance(event, Upload) and tenant is not None:
            slot.owes = True  # should this be cut off as well, the record comes again
            await self._keep_promise(event, tenant, Problem(Reason.NOT_FOUND, "the content was deleted"))
            slot.owes = False

    async def _refuse(self, record: Record, slot: Slot, identity: Identity, request: int, cause: Cause, problem: Problem) -> str:
        """An indeterminate verdict for the platform, and a dead letter for the operator."""
        tenant = self.tenants().find(identity.tenant)
        await self.publish.verdict(self.decide.unexamined(identity, request, cause, tenant, problem))
        await self.publish.dead_letter(record, DeadLetter(problem.stage, problem.reason.value, problem.message, slot.attempts))
        return Status.INDETERMINATE.value

    async def _retract(self, record: Record, slot: Slot, deletion: Deletion, tenant: Tenant | None) -> str:
        """The retraction at once; but a deletion has ended only when the store has dropped the content."""
        gone = await self._forget(deletion)
        await self.publish.verdict(self.decide.retracted(deletion, tenant))
        if not gone and self.lane is not Lane.LATE:
            await self.publish.defer(record, Lane.LATE)
        elif not gone:
            slot.leave()
            await self._forget_later(record, slot, deletion)
        return Status.RETRACTED.value

    async def _forget(self, deletion: Deletion) -> bool:
        return await self.store.forget(deletion.identity.key, deletion.identity.content_version)

    async def _forget_later(self, record: Record, slot: Slot, deletion: Deletion) -> None:
        pause = moderate.FIRST_PAUSE_SECONDS
        while not self.moderate.too_old(record):
            slot.progress()
            await asyncio.sleep(pause)
            pause = min(pause * 2, moderate.LONGEST_PAUSE_SECONDS)
            if await self._forget(deletion):
                return
        letter = DeadLetter("forget", STORE_UNAVAILABLE, _NOT_FORGOTTEN, slot.attempts)
        await self.publish.dead_letter(record, letter)
