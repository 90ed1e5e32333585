"""Verdicts, critiques and dead letters as records."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest

from omniguard.contracts import critique, dead_letter, verdict
from omniguard.contracts.policy_file import shipped_policy
from omniguard.domain.content import Cause, Identity, Modality
from omniguard.domain.decision import Problem, decide
from omniguard.domain.reason import Reason
from omniguard.domain.record import Partition, Record
from omniguard.domain.revision import FINAL
from omniguard.domain.scores import Assessment, Critique, ModelInfo, NamedCategory, PartCoverage, SegmentScore
from omniguard.domain.verdict import CritiqueRecord, DeadLetter, NoCritique, Verdict
from omniguard.errors import Unidentifiable

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
POLICY = shipped_policy("default")
NAMES = tuple(c.name for c in POLICY.categories)
MODEL = ModelInfo("omniguard", "d", "vllm", "c-1")
TRACE = {"traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}


def made(segments: int = 2, parts: int = 1) -> Verdict:
    scores = tuple(
        SegmentScore(
            f"p{p}",
            i,
            {"video": 0.9 if i % 2 else 0.1},
            6.0 * i,
            6.0 * i + 6,
            (NamedCategory("hate", 0.8),),
            assessed={"video": NAMES},
        )
        for p in range(parts)
        for i in range(segments)
    )
    coverage = {f"p{p}": PartCoverage(6.0 * segments, 6.0 * segments, 6 * segments) for p in range(parts)}
    problems = [Problem(Reason.DAMAGED, "part p9 is damaged", "p9")]
    decision = decide(Assessment(MODEL, scores, coverage), POLICY, dict.fromkeys(coverage, Modality.VIDEO), problems)
    return Verdict(Identity("acme", "é|1", 3), Cause.EDIT, POLICY, 4, FINAL, decision, False, MODEL, NOW, "content", {"total": 3})


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_verdict_reads_as_it_was_written(mode: verdict.cloudevents.Mode) -> None:
    message = verdict.encode(made(), "verdicts", mode=mode, headers=TRACE)
    assert (message.topic, message.key) == ("verdicts", "acme|é|1".encode())
    assert message.headers["traceparent"] == TRACE["traceparent"]
    data = verdict.decode(message.value, message.headers)
    assert (data.key, data.order, data.verdict_id) == ("acme|é|1", (3, 4, FINAL), made().id)
    assert (data.status, data.action, data.enforce, data.assurance, data.cause) == (
        "indeterminate",
        "review",
        False,
        "partial",
        "edit",
    )
    assert (data.reason, data.problems[0].part) == ("damaged", "p9")
    assert (data.cache.hit, data.cache.kind, data.timings_ms) == (True, "content", {"total": 3})
    assert [c.name for c in data.categories] == list(NAMES)
    assert (data.segments[0].t0, data.segments[0].categories) == (6.0, ("hate",))
    assert data.model is not None
    assert (data.model.calibration, data.policy and data.policy.digest) == ("c-1", POLICY.digest)


def test_verdict_without_policy_or_model() -> None:
    message = verdict.encode(replace(made(), policy=None, model=None, cache=None), "verdicts")
    data = verdict.decode(message.value, message.headers)
    assert (data.policy, data.model, data.cache.hit) == (None, None, False)


def test_structured_verdict_is_a_cloudevent() -> None:
    event = orjson.loads(verdict.encode(made(), "verdicts").value or b"")
    assert (event["specversion"], event["type"], event["source"]) == ("1.0", "omniguard.verdict.v1", "/omniguard")
    assert (event["id"], event["subject"], event["time"]) == (made().id, "acme|é|1", "2026-11-21T10:00:00.000Z")


def test_verdict_is_capped_in_size() -> None:
    large = made(segments=600, parts=20)
    many = tuple(Problem(Reason.DAMAGED, "x" * 3000, f"p{i}") for i in range(64))
    large = replace(large, decision=replace(large.decision, problems=many, explanation="y" * 200_000))
    message = verdict.encode(large, "verdicts")
    assert len(message.value or b"") <= verdict.MAX_BYTES
    data = verdict.decode(message.value, message.headers)
    assert {s.part for s in data.segments} == {f"p{i}" for i in range(20)}


def test_verdict_gives_up_spans_before_it_gives_up_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "MAX_BYTES", 6000)
    message = verdict.encode(made(segments=600), "verdicts")
    assert len(message.value or b"") <= 6000
    assert verdict.decode(message.value, message.headers).segments


@pytest.mark.parametrize("kind", ["omniguard.verdict.v2", "omniguard.critique.v1"])
def test_another_type_is_no_verdict(kind: str) -> None:
    value = (verdict.encode(made(), "verdicts").value or b"").replace(b"omniguard.verdict.v1", kind.encode())
    with pytest.raises(Unidentifiable, match=r"expected omniguard\.verdict\.v1"):
        verdict.decode(value, {})


def test_unknown_fields_are_ignored_and_missing_ones_are_not() -> None:
    event = orjson.loads(verdict.encode(made(), "verdicts").value or b"")
    event["data"]["later"] = 1
    assert verdict.decode(orjson.dumps(event), {}).tenant == "acme"
    del event["data"]["revision"]
    with pytest.raises(Unidentifiable, match=r"data\.revision"):
        verdict.decode(orjson.dumps(event), {})


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_critique(mode: verdict.cloudevents.Mode) -> None:
    written = Critique("<b>because</b>", (("p0", 1),), "en", 12, 900, True)
    message = critique.encode(CritiqueRecord(made(), written, NOW), "critiques", mode=mode, headers=TRACE)
    data = critique.decode(message.value, message.headers)
    assert message.key == "acme|é|1".encode()
    assert (data.verdict_id, data.text, data.none) == (made().id, "<b>because</b>", None)
    assert (data.segments[0].part, data.segments[0].index, data.tokens, data.conditioned) == ("p0", 1, 12, True)


@pytest.mark.parametrize("none", NoCritique)
def test_no_critique_says_why(none: NoCritique) -> None:
    message = critique.encode(CritiqueRecord(made(), none, NOW), "critiques")
    data = critique.decode(message.value, message.headers)
    assert (data.text, data.none) == (None, none)


RECORD = Record(
    Partition("content-events", 3),
    4711,
    b"acme|1",
    b"\xff\x00",
    NOW,
    {"ce_id": b"1", "omniguard-stage": b"forged", "traceparent": b"x"},
)
LETTER = DeadLetter("parse", "Unidentifiable", "the value is not JSON", 2)


def test_dead_letter_keeps_what_was_received_and_says_why() -> None:
    message = dead_letter.encode(RECORD, LETTER, "dead-letters")
    assert (message.topic, message.key, message.value) == ("dead-letters", b"acme|1", b"\xff\x00")
    assert (message.headers["ce_id"], message.headers["traceparent"]) == (b"1", b"x")
    headers = dead_letter.decode(message.headers)
    assert (headers.origin_topic, headers.origin_partition, headers.origin_offset, headers.origin_time) == (
        "content-events",
        3,
        4711,
        NOW,
    )
    assert (headers.error, headers.stage, headers.attempts, headers.reason) == (
        "Unidentifiable",
        "parse",
        2,
        "the value is not JSON",
    )
    assert headers.omitted == ""


def test_dead_letter_takes_the_largest_input() -> None:
    largest = replace(RECORD, value=b"x" * (1024 * 1024 - 100))
    assert dead_letter.encode(largest, LETTER, "dead-letters").value == largest.value


def test_dead_letter_of_what_is_too_large_holds_hash_and_size() -> None:
    message = dead_letter.encode(replace(RECORD, value=b"x" * 2_000_000), LETTER, "dead-letters")
    omitted = dead_letter.OmittedValue.model_validate_json(message.value or b"")
    assert omitted.size == 2_000_000
    assert dead_letter.decode(message.headers).omitted == "value"
    assert message.headers["ce_id"] == b"1"


def test_dead_letter_gives_up_huge_headers_too() -> None:
    message = dead_letter.encode(replace(RECORD, headers={"x": b"y" * 2_000_000}), LETTER, "dead-letters")
    assert dead_letter.decode(message.headers).omitted == "value,headers"
    assert "x" not in message.headers


@pytest.mark.parametrize("value", [None, b"x"])
def test_dead_letter_gives_up_a_huge_key_too(value: bytes | None) -> None:
    """A key may be larger than the topic takes, for the broker measures records as they were compressed."""
    message = dead_letter.encode(replace(RECORD, key=b"k" * 2_000_000, value=value), LETTER, "dead-letters")
    assert dead_letter.decode(message.headers).omitted == "value,headers,key"
    assert (message.key, dead_letter.OmittedValue.model_validate_json(message.value or b"").size) == (None, len(value or b""))


def test_dead_letter_measures_header_names_in_bytes() -> None:
    message = dead_letter.encode(replace(RECORD, headers={"\U0001f600" * 300_000: b""}), LETTER, "dead-letters")
    assert dead_letter.decode(message.headers).omitted == "value,headers"


def test_dead_letter_of_a_record_without_anything() -> None:
    message = dead_letter.encode(replace(RECORD, key=None, value=None, headers={}), LETTER, "dead-letters")
    assert (message.key, message.value) == (None, b"")


def test_what_is_no_dead_letter() -> None:
    with pytest.raises(Unidentifiable, match="is this a dead letter"):
        dead_letter.decode({"omniguard-stage": b"parse"})
