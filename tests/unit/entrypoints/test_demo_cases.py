from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from omniguard.entrypoints.demo_cases import Cases, difference
from omniguard.entrypoints.demo_view import Row
from omniguard.samples import Expectation
from unit.entrypoints.test_watch import critique, letter, verdict

SPAN = {"part": "p1", "t0": 12.0, "t1": 18.0, "categories": ("violent_crimes",), "score": 0.9, "modalities": ("video",)}
CATEGORY = {"name": "violent_crimes", "score": 0.9, "severity": "high", "named": True, "assessed": True, "modalities": ("video",)}
BLOCKED: dict[str, Any] = {"action": "block", "segments": (SPAN,), "categories": (CATEGORY,), "critique": True}


def row(**changes: Any) -> Row:
    found = verdict(**{**BLOCKED, **changes})
    return Row("n", "t", found, critique(found) if found.critique_ref else None)


EXPECT = Expectation(
    status="final",
    actions=("block",),
    categories=("violent_crimes",),
    part="p1",
    span=(12.5, 17.3),
    cache_hit=False,
    critique=True,
)


def test_the_expected_answer_differs_in_nothing() -> None:
    assert difference(EXPECT, row()) == ""


@pytest.mark.parametrize(
    ("changes", "expect", "words"),
    [
        ({"status": "indeterminate", "reason": "damaged"}, EXPECT, "found status indeterminate (damaged), expected final"),
        ({"action": "review"}, EXPECT, "found action review"),
        ({"categories": ()}, EXPECT, "expected the category violent_crimes"),
        ({"segments": ()}, EXPECT, "expected a segment of p1"),
        ({"segments": ({**SPAN, "t1": 12.5},)}, EXPECT, "expected a segment of p1"),
        ({"segments": ({**SPAN, "part": "p0"},)}, EXPECT, "expected a segment of p1"),
        ({"cache": {"hit": True, "kind": "content"}}, EXPECT, "from the cache"),
        ({"critique": False}, EXPECT, "expected a critique"),
        ({}, replace(EXPECT, critique=False), "found a critique"),
        ({}, replace(EXPECT, dead_letter=True), "no dead letter came"),
        ({}, replace(EXPECT, reason="damaged"), "found reason None, expected damaged"),
        ({}, Expectation(verdict=False), "a verdict came"),
    ],
)
def test_each_difference_is_named(changes: dict[str, Any], expect: Expectation, words: str) -> None:
    assert words in difference(expect, row(**changes))


def test_silence_and_unexpected_dead_letters_are_differences() -> None:
    assert difference(EXPECT, Row("n", "t")) == "no verdict came"
    assert "expected none" in difference(EXPECT, replace(row(), letter=letter()))
    promised = replace(row(), critique=None)
    assert difference(replace(EXPECT, critique=None), promised) == "the promised critique did not come"


def test_a_case_is_answered_once_everything_promised_is_there() -> None:
    cases = Cases()
    case = next(c for c in cases if c.sample.name == "harmful-text")
    identity = {"content_id": case.sample.content_id}
    early = verdict(**{**BLOCKED, **identity, "revision": 900_000, "status": "indeterminate", "reason": "deadline"})
    final = verdict(**{**BLOCKED, **identity, "segments": ()})
    assert cases.take(early) is case
    assert not case.answered, "the late lane will judge it again"
    cases.take(final)
    assert not case.answered, "its critique is still to come"
    cases.take(critique(final))
    assert case.answered
    assert case.row.wrong == ""
    cases.take(early)
    assert case.row.verdict == final


def test_a_follower_is_due_after_what_it_follows() -> None:
    cases = Cases()
    names = {case.sample.name for case in cases.due}
    assert "harmful-text" in names
    assert "harmful-text-again" not in names
    for case in cases.due:
        case.published = 0.0
    assert cases.due == []
    first = next(c for c in cases if c.sample.name == "post-first-version")
    cases.take(verdict(first.sample.content_id))
    assert [case.sample.name for case in cases.due] == ["post-second-version"]


def test_two_runs_share_no_content() -> None:
    keys = [{case.sample.key for case in Cases()} for _ in range(2)]
    assert keys[0].isdisjoint(keys[1])


def test_what_never_came_is_wrong_at_the_end() -> None:
    cases = Cases()
    cases.close()
    assert len(cases.wrong) == len(cases)
    assert not any(result["right"] for result in cases.results())


def test_another_runs_answers_belong_to_no_case() -> None:
    assert Cases().take(verdict("somebody-elses")) is None
