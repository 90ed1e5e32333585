"""What is decided goes to its topic, in the mode chosen, and carries the trace of the event."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest

from omniguard.adapters.clock import ManualClock
from omniguard.adapters.memory_publisher import MemoryPublisher
from omniguard.contracts import dead_letter, verdict
from omniguard.contracts.cloudevents import Mode
from omniguard.contracts.topics import Topics
from omniguard.domain.content import Cause, Identity
from omniguard.domain.decision import CategoryFinding, Problem, Status
from omniguard.domain.lane import Lane
from omniguard.domain.policy import Action
from omniguard.domain.reason import Reason
from omniguard.domain.record import Partition, Record
from omniguard.domain.verdict import CritiqueRecord, DeadLetter, NoCritique, Verdict
from omniguard.observability import COUNTERS, METRICS, extract_context, span
from omniguard.observability.catalog import OTHER_CATEGORY
from omniguard.ports import Message
from omniguard.stages.decide import Decide
from omniguard.stages.publish import Publish

TRACE = "0123456789abcdef0123456789abcdef"
PARENT = f"00-{TRACE}-0123456789abcdef-01".encode()
RECORD = Record(Partition("content-events", 2), 7, b"acme|c1", b"{}", datetime(2026, 1, 1, tzinfo=UTC), {"x-own": b"\xff"})
PROBLEM = Problem(Reason.DAMAGED, "cut off")


def made() -> Verdict:
    return Decide(ManualClock()).unexamined(Identity("acme", "c1", 1), 0, Cause.UPLOAD, None, PROBLEM)


class Published:
    def __init__(self, mode: Mode = "structured") -> None:
        self.broker = MemoryPublisher()
        self.publish = Publish(self.broker, Topics("p-"), mode)

    def only(self, topic: str) -> Message:
        (message,) = self.broker.records(topic)
        return message


async def test_structured_mode_holds_the_event_in_the_value() -> None:
    published = Published("structured")
    await published.publish.verdict(made())
    message = published.only("p-verdicts")
    assert message.headers["content-type"] == b"application/cloudevents+json"
    assert orjson.loads(message.value or b"")["type"] == verdict.TYPE
    assert message.key == b"acme|c1"


async def test_binary_mode_holds_the_attributes_in_headers() -> None:
    published = Published("binary")
    await published.publish.verdict(made())
    message = published.only("p-verdicts")
    assert (message.headers["ce_type"], message.headers["content-type"]) == (verdict.TYPE.encode(), b"application/json")
    assert orjson.loads(message.value or b"")["status"] == "indeterminate"


@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_both_modes_say_the_same(mode: Mode) -> None:
    published = Published(mode)
    await published.publish.verdict(made())
    message = published.only("p-verdicts")
    assert verdict.decode(message.value, message.headers).verdict_id == made().id


@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_verdict_and_critique_carry_the_events_trace(mode: Mode) -> None:
    published = Published(mode)
    with span("omniguard.event", parent=extract_context({"traceparent": PARENT})):
        await published.publish.verdict(made())
        await published.publish.critique(CritiqueRecord(made(), NoCritique.SHED, datetime.now(UTC)))
    for topic in ("p-verdicts", "p-critiques"):
        assert published.only(topic).headers["traceparent"].split(b"-")[1] == TRACE.encode()


async def test_without_a_trace_no_header_is_made_up() -> None:
    published = Published()
    await published.publish.verdict(made())
    assert "traceparent" not in published.only("p-verdicts").headers


@pytest.mark.parametrize(("lane", "topic"), [(Lane.BACKFILL, "p-content-events.backfill"), (Lane.LATE, "p-content-events.late")])
async def test_a_deferred_record_is_unchanged_even_inside_a_trace(lane: Lane, topic: str) -> None:
    published = Published()
    with span("omniguard.event", parent=extract_context({"traceparent": PARENT})):
        await published.publish.defer(RECORD, lane)
    assert published.only(topic) == Message(topic, RECORD.key, RECORD.value, RECORD.headers)


async def test_a_dead_letter_is_the_record_with_the_reason_beside_it() -> None:
    published = Published()
    await published.publish.dead_letter(RECORD, DeadLetter("judge", "damaged", "cut off", 2))
    message = published.only("p-dead-letters")
    ours = dead_letter.decode(message.headers)
    assert (message.key, message.value, message.headers["x-own"]) == (RECORD.key, RECORD.value, b"\xff")
    assert (ours.origin_topic, ours.origin_partition, ours.origin_offset) == ("content-events", 2, 7)
    assert (ours.error, ours.stage, ours.attempts, ours.reason) == ("damaged", "judge", 2, "cut off")


@pytest.mark.parametrize(
    ("error", "label"),
    [("damaged", "damaged"), ("Unidentifiable", "Unidentifiable"), ("KeyError", "internal_error")],
)
async def test_letters_are_counted_by_a_closed_set_of_classes(error: str, label: str) -> None:
    """The letter itself names the exception; a label of whatever was raised would have no end."""
    before = METRICS.value("omniguard_dead_letters_total", stage="parse", error=label)
    await Published().publish.dead_letter(RECORD, DeadLetter("parse", error, "found, expected"))
    assert METRICS.value("omniguard_dead_letters_total", stage="parse", error=label) == before + 1


@pytest.mark.parametrize(
    ("status", "action", "counted"),
    [
        (Status.FINAL, Action.BLOCK, {"hate": 1, OTHER_CATEGORY: 1}),
        (Status.FINAL, Action.ALLOW, {}),
        (Status.PROVISIONAL, Action.BLOCK, {}),
    ],
)
async def test_verdicts_are_counted_by_what_they_say_and_categories_once_it_is_final(
    status: Status, action: Action, counted: dict[str, int]
) -> None:
    said = {"status": status, "action": action, "assurance": "partial", "enforce": "true"}

    def values() -> tuple[float, dict[str, float]]:
        names = COUNTERS["omniguard_verdict_categories_total"].labels["category"]
        categories = {name: METRICS.value("omniguard_verdict_categories_total", category=name) for name in names}
        return METRICS.value("omniguard_verdicts_total", **said), categories

    before, categories = values()
    found = tuple(
        CategoryFinding(name, 0.9, 0.9, None, named, assessed=True)
        for name, named in (("hate", True), ("an operator's own", True), ("privacy", False))
    )
    verdict = made()
    decision = replace(verdict.decision, status=status, action=action, reason=None, categories=found)
    await Published().publish.verdict(replace(verdict, decision=decision, enforce=True))
    after, now = values()
    assert after == before + 1
    assert {name: now[name] - count for name, count in categories.items() if now[name] > count} == counted
