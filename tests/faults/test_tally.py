"""The tally finds what the invariants that keep every record find, and its memory does not grow with what events hold."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from faults.invariants import assert_kept, check_invariants
from faults.observer import Notes, Seen
from faults.tally import Tally
from omniguard.contracts.critique import CritiqueData
from omniguard.contracts.dead_letter import DeadLetterHeaders
from omniguard.contracts.verdict import VerdictData
from omniguard.domain.decision import Status
from omniguard.domain.lane import Lane
from omniguard.domain.policy import Action
from omniguard.domain.record import Partition, Record

FINAL = {"status": "final", "action": "review", "revision": 900_001, "reason": None}
INDETERMINATE = {"status": "indeterminate", "action": "review", "revision": 900_000, "reason": "deadline"}


def event(number: int, text: str = "hello") -> Record:
    parts = [{"id": "p0", "modality": "text", "text": text}]
    body = {"tenant": "acme", "content_id": f"c{number}", "content_version": 1, "parts": parts}
    sent = {"specversion": "1.0", "type": "omniguard.content-event.v1", "source": "/u", "id": "1", "data": body}
    place = Partition("content-events", 0)
    return Record(place, number, f"acme|c{number}".encode(), orjson.dumps(sent), datetime.now(UTC))


def verdict(number: int, *, name: str = "v", **data: Any) -> VerdictData:
    identity = {"tenant": "acme", "content_id": f"c{number}", "content_version": 1, "policy_epoch": 1}
    said = {**identity, "verdict_id": f"{name}{number}", "critique_ref": None, **FINAL, **data}
    said |= {"status": Status(said["status"]), "action": Action(said["action"])}
    return VerdictData.model_construct(**said)


def critique(number: int) -> CritiqueData:
    return CritiqueData.model_construct(content_id=f"c{number}", verdict_id=f"v{number}")


def fill(notes: Notes, *records: Record | VerdictData | CritiqueData) -> None:
    for each in records:
        if isinstance(each, Record):
            notes.event(Lane.LIVE, each)
        elif isinstance(each, VerdictData):
            notes.verdict(each)
        else:
            notes.critique(each)


@pytest.mark.parametrize(
    ("records", "found"),
    [
        ([event(0)], "lost"),
        ([Record(Partition("content-events", 0), 0, b"x", b"\xff", datetime.now(UTC))], "lost"),
        ([event(0), verdict(0, status="provisional", revision=3)], "lost"),
        ([event(0), verdict(0), verdict(0, name="w", **{**INDETERMINATE, "revision": 900_002})], "displaced"),
        ([event(0), verdict(0), verdict(0, name="w")], "displaced"),
        ([event(0), verdict(0, critique_ref="v0")], "critiques never answered"),
        ([event(0, "hateword"), verdict(0, action="allow")], "allowed"),
        ([verdict(0, action="allow"), event(0, "hateword")], "allowed"),
        ([event(0), verdict(0, **{**INDETERMINATE, "action": "allow"})], "without a judgement"),
        ([event(0), verdict(0), verdict(0, action="block")], "says"),
    ],
)
def test_what_breaks_a_promise_is_found_by_both(records: list[Record | VerdictData], found: str) -> None:
    seen, tally = Seen(), Tally()
    fill(seen, *records)
    fill(tally, *records)
    with pytest.raises(AssertionError, match=found):
        check_invariants(seen, seed=1)
    with pytest.raises(AssertionError, match=found):
        assert_kept(tally.report(), seed=1)


def test_a_run_that_keeps_every_promise_passes_in_any_order() -> None:
    records = [event(0), verdict(0, **INDETERMINATE), verdict(0, name="w", critique_ref="v1"), critique(1), event(1), verdict(1)]
    records += [verdict(1), Record(Partition("content-events", 0), 9, b"x", b"\xff", datetime.now(UTC))]
    for order in (records, records[::-1]):
        seen, tally = Seen(), Tally()
        for notes in (seen, tally):
            fill(notes, *order)
            headers = DeadLetterHeaders.__new__(DeadLetterHeaders)
            for name, value in (("origin_topic", "content-events"), ("origin_partition", 0), ("origin_offset", 9)):
                object.__setattr__(headers, name, value)
            notes.dead_letter(headers, records[0])
        report = tally.report()
        assert_kept(report, seed=1)
        assert str(report) == str(check_invariants(seen, seed=1))
        assert (tally.ended, tally.not_final, report.duplicates) == (3, 0, 1)
        assert tally.reasons == {"deadline": 1}


def test_an_event_costs_the_tally_the_same_whatever_it_holds() -> None:
    tally = Tally()
    tracemalloc.start()
    for number in range(2_000):
        fill(tally, event(number, "x" * 20_000), verdict(number, critique_ref=f"v{number}"), critique(number))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / 2_000 < 1_500
