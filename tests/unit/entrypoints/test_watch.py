from __future__ import annotations

from typing import Any

from omniguard.contracts.critique import CritiqueData
from omniguard.contracts.dead_letter import DeadLetterHeaders
from omniguard.contracts.verdict import VerdictData
from omniguard.entrypoints.answers import Letter
from omniguard.entrypoints.watch import Seen, line


def verdict(content_id: str = "c", *, revision: int = 900_001, critique: bool = False, **changes: Any) -> VerdictData:
    name = f"v-{content_id}-{revision}"
    fields: dict[str, Any] = {
        "tenant": "acme",
        "content_id": content_id,
        "content_version": 1,
        "verdict_id": name,
        "policy_epoch": 1,
        "revision": revision,
        "cause": "upload",
        "status": "final",
        "action": "allow",
        "enforce": True,
        "assurance": "full",
        "reason": None,
        "explanation": "",
        "unsafe": 0.0,
        "categories": (),
        "segments": (),
        "coverage": {},
        "policy": None,
        "model": None,
        "cache": {"hit": False, "kind": None},
        "timings_ms": {},
        "critique_ref": name if critique else None,
    }
    return VerdictData.model_validate({**fields, **changes})


def critique(of: VerdictData, text: str | None = "because") -> CritiqueData:
    return CritiqueData(
        tenant=of.tenant,
        content_id=of.content_id,
        content_version=of.content_version,
        verdict_id=of.verdict_id,
        policy_epoch=of.policy_epoch,
        revision=of.revision,
        text=text,
        none=None if text else "timeout",
    )


def letter(key: str = "acme|c") -> Letter:
    headers = {
        "origin-topic": "content-events",
        "origin-partition": 0,
        "origin-offset": 3,
        "origin-time": "2026-11-21T10:00:00Z",
        "error": "damaged",
        "stage": "judge",
        "attempts": 1,
        "reason": "it is broken",
    }
    return Letter(key, DeadLetterHeaders.model_validate(headers))


def test_what_a_newer_record_displaced_is_not_shown() -> None:
    seen = Seen()
    assert seen.take(verdict(revision=900_001))
    assert not seen.take(verdict(revision=900_000))
    assert not seen.take(verdict(revision=900_001))


def test_the_limit_waits_for_the_critique() -> None:
    seen = Seen(limit=1)
    first = verdict(critique=True)
    assert seen.take(first)
    assert not seen.enough
    assert not seen.take(verdict("other"))
    assert seen.take(critique(first))
    assert seen.enough


def test_a_critique_may_be_read_before_its_verdict() -> None:
    seen = Seen(limit=1)
    first = verdict(critique=True)
    seen.take(critique(first))
    seen.take(first)
    assert seen.enough


def test_one_tenant_only() -> None:
    seen = Seen(tenant="beta")
    assert not seen.take(verdict())
    assert not seen.take(letter())
    assert seen.take(letter("beta|x"))


def test_lines() -> None:
    found = verdict(
        action="block",
        segments=({"part": "p0", "t0": 1.0, "t1": 2.0, "categories": ("hate",), "score": 0.9, "modalities": ("video",)},),
    )
    assert line(found).plain == "verdict  acme|c  block    video 1.0 to 2.0 s"
    assert line(critique(found, "a\nb\x1b[0m")).plain == "critique  acme|c  a b[0m"
    assert line(critique(found, None)).plain == "critique  acme|c  no critique: it was not written in time"
    assert line(letter()).plain == "dead letter  acme|c  damaged: it is broken"
