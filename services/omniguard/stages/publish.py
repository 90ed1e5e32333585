"""Publish: puts what was decided on its topic; every method returns when the broker has it on all in-sync replicas."""

from __future__ import annotations

from collections.abc import Iterable

from omniguard.contracts import cloudevents, critique, dead_letter, free_name, verdict
from omniguard.contracts.topics import Topics
from omniguard.domain.decision import Status
from omniguard.domain.lane import Lane
from omniguard.domain.policy import Action
from omniguard.domain.reason import Reason
from omniguard.domain.record import Record
from omniguard.domain.scores import GUARD_EVASION
from omniguard.domain.verdict import CritiqueRecord, DeadLetter, Verdict
from omniguard.observability import COUNTERS, METRICS, inject_headers, span
from omniguard.observability.catalog import OTHER_CATEGORY
from omniguard.ports import Message, Publisher
from omniguard.stages.letter_limit import LetterLimit

_ERRORS = COUNTERS["omniguard_dead_letters_total"].labels["error"]
_CATEGORIES = COUNTERS["omniguard_verdict_categories_total"].labels["category"]


class Publish:
    """One method a kind of record."""

    def __init__(self, publisher: Publisher, topics: Topics, mode: cloudevents.Mode, limit: LetterLimit | None = None) -> None:
        """`mode` is the CloudEvents content mode of what we publish; without a `limit` any number of dead letters is written."""
        self._publisher, self._topics, self._mode, self._limit = publisher, topics, mode, limit

    async def verdict(self, made: Verdict) -> None:
        """To `verdicts`."""
        _count(made)
        if made.decision.reason is not None:
            METRICS.count("omniguard_indeterminate_total", reason=made.decision.reason.value)
        if GUARD_EVASION in made.decision.signals:
            METRICS.count("omniguard_guard_evasions_total")
        with span("omniguard.publish", stage="publish"):
            await self._send(verdict.encode(made, self._topics.verdicts, mode=self._mode, headers=inject_headers({})))

    async def critique(self, made: CritiqueRecord) -> None:
        """To `critiques`: the text, or why there is none."""
        await self._send(critique.encode(made, self._topics.critiques, mode=self._mode, headers=inject_headers({})))

    async def free_names(self, made: Verdict, names: Iterable[str]) -> None:
        """To `free-names`: each name that the guard gave freely. They change nothing here."""
        for name in names:
            METRICS.count("omniguard_free_names_total", outcome="sent")
            await self._send(free_name.encode(made, name, self._topics.free_names, mode=self._mode, headers=inject_headers({})))

    async def dead_letter(self, record: Record, letter: DeadLetter) -> None:
        """To `dead-letters`: the record as it came, with the reason beside it.

        Raises:
            GivenBack: there were too many; the record stays on its topic.

        """
        if self._limit is not None:
            self._limit.admit(record, letter)
        error = letter.error if letter.error in _ERRORS else Reason.INTERNAL  # the type of an exception that is none of ours
        METRICS.count("omniguard_dead_letters_total", stage=letter.stage, error=error)
        await self._send(dead_letter.encode(record, letter, self._topics.dead_letters))

    async def defer(self, record: Record, lane: Lane) -> None:
        """To a slower lane: key, value and headers unchanged."""
        METRICS.count("omniguard_events_deferred_total", target=lane.value)
        await self._send(Message(self._topics.content(lane), record.key, record.value, record.headers))

    def finished(self, record: Record) -> None:
        """An event has ended, with a dead letter or without."""
        if self._limit is not None:
            self._limit.finished(record)

    async def _send(self, message: Message) -> None:
        with METRICS.timed("omniguard_stage_duration_seconds", stage="publish"):
            await self._publisher.publish(message)


def _count(made: Verdict) -> None:
    decision = made.decision
    METRICS.count(
        "omniguard_verdicts_total",
        status=decision.status,
        action=decision.action,
        assurance=decision.assurance,
        enforce="true" if made.enforce else "false",
    )
    if decision.status is Status.FINAL and decision.action is not Action.ALLOW:
        for found in decision.categories:
            if found.named:
                category = found.name if found.name in _CATEGORIES else OTHER_CATEGORY
                METRICS.count("omniguard_verdict_categories_total", category=category)
