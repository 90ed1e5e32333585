"""Whatever the guard's server answers: a typed failure within bounds, no label that was not given, and no word of it told."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
import structlog

from contract.guard_protocol import LABEL, NAN, Play, answer, serve
from omniguard.adapters.clock import SystemClock
from omniguard.adapters.memory_assessments import MemoryAssessmentStore
from omniguard.adapters.triton_guard import TritonGuard
from omniguard.domain.content import Modality, Segment
from omniguard.domain.deadline import Deadline
from omniguard.domain.decision import Status, decide
from omniguard.domain.policy import Action
from omniguard.domain.scores import ModelInfo
from omniguard.errors import BadContent, Reason, Retryable
from omniguard.guard.wire import GuardRequest, Mode, WireCategory, WirePart
from omniguard.observability import Metrics
from omniguard.stages.examine import wire_categories
from omniguard.stages.findings import Findings
from omniguard.stages.judge import Brief, Judge
from stage_bench import POLICY, stream

SECRET = "the-very-words-of-an-upload"
REQUEST = GuardRequest(
    mode=Mode.LABEL,
    policy=(WireCategory(name="hate", description="."),),
    parts=(WirePart(id="p", modality="text", text=SECRET),),
    deadline_ms=20_000,
)
HARM = {**LABEL, "label": "unsafe", "unsafe": 0.875, "final": False}
NAMED = {"kind": "categories", "categories": [{"name": "hate", "confidence": 0.75}], "sequence": 1, "final": True}
CRITIQUE = {"kind": "critique", "text": SECRET, "sequence": 0, "final": True}
STATUSES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
PASSING = {"UNAVAILABLE", "NOT_FOUND", "CANCELLED"}
"""Statuses of a server that is away: they are waited out."""


def plays(*answers: tuple[Any, float], **more: Any) -> Play:
    async def play(asked: Any, _: Any) -> AsyncIterator[Any]:
        for event, unsafe in answers:
            yield answer(asked, event, unsafe, **more)

    return play


def label(**changes: Any) -> Play:
    event = {**LABEL, **changes}
    score = event["unsafe"]
    return plays((event, score if isinstance(score, float) else 0.0))


async def endless(asked: Any, _: Any) -> AsyncIterator[Any]:
    piece = {**HARM, "evidence": [{"kind": SECRET}] * 5000}
    number = 0
    while True:
        yield answer(asked, {**piece, "sequence": number}, 0.875)
        number += 1


async def huge(asked: Any, _: Any) -> AsyncIterator[Any]:
    yield answer(asked, json.dumps(LABEL).encode() + b" " * 100_000_000, 0.125)


BROKEN: dict[str, Play] = {
    "not JSON": plays((b"\xff{" + SECRET.encode(), NAN)),
    "no object": plays((SECRET, NAN)),
    "nothing": plays((b"", NAN)),
    "deep nesting": plays((b"[" * 100_000, NAN)),
    "unknown kind": plays(({"kind": SECRET, "final": True}, NAN)),
    "no score": plays(({"kind": "label", "label": "safe", "final": True}, NAN)),
    "a key of its own": label(assessed={SECRET: SECRET}),
    "an unknown label": label(label=SECRET),
    "NaN": plays((b'{"kind":"label","label":"safe","unsafe":NaN,"final":true}', NAN)),
    "infinite": plays((b'{"kind":"label","label":"safe","unsafe":-Infinity,"final":true}', float("-inf"))),
    "negative": label(unsafe=-0.5),
    "two": label(unsafe=2.0),
    "false for a score": label(unsafe=False),
    "text for a score": label(unsafe="0.0"),
    "a tensor that says otherwise": plays((LABEL, 0.25)),
    "a tensor of NaN": plays((LABEL, NAN)),
    "no final": plays((HARM, 0.875)),
    "sequence gap": plays((HARM, 0.875), ({**NAMED, "sequence": 2}, NAN)),
    "sequence again": plays((HARM, 0.875), ({**NAMED, "sequence": 0}, NAN)),
    "more after the final": plays((LABEL, 0.125), (NAMED, NAN)),
    "categories alone": plays(({**NAMED, "sequence": 0}, NAN)),
    "categories below the threshold": plays(({**LABEL, "final": False}, 0.125), (NAMED, NAN)),
    "no categories": plays(({**HARM, "final": True}, 0.875)),
    "categories that were not asked": plays((HARM, 0.875), ({**NAMED, "categories": [{"name": SECRET, "confidence": 1}]}, NAN)),
    "two labels": plays((HARM, 0.875), ({**LABEL, "sequence": 1}, 0.125)),
    "a critique": plays((CRITIQUE, NAN)),
    "a label behind a critique": plays(({**CRITIQUE, "final": False}, NAN), ({**LABEL, "sequence": 1}, 0.125)),
    "the answer to another request": plays((LABEL, 0.125), id="another"),
    "other names": plays((LABEL, 0.125), outputs=((SECRET, "BYTES", [1]), ("UNSAFE", "FP32", [1]))),
    "other types": plays((LABEL, 0.125), outputs=(("EVENT", "BYTES", [1]), ("UNSAFE", "INT32", [1]))),
    "other shapes": plays((LABEL, 0.125), outputs=(("EVENT", "BYTES", [1]), ("UNSAFE", "FP32", [2, 2]))),
    "no tensors": plays((LABEL, 0.125), outputs=()),
    "fewer bytes than said": plays((LABEL, 0.125), raw=[b"\xff\xff\xff\xff{}", b"\0\0\0\0"]),
    "an empty stream": plays(),
    "an error in words": plays(({"kind": "error", "code": SECRET, "message": SECRET}, NAN)),
    "without end": endless,
    "100 MB": huge,
}


@pytest.fixture
async def asked(request: pytest.FixtureRequest) -> AsyncIterator[tuple[TritonGuard, Any]]:
    answering, server, address = await serve(request.param)
    client = TritonGuard([address], metrics=Metrics())
    yield client, answering
    await client.close()
    await server.stop(0)


@pytest.mark.parametrize("asked", [pytest.param(play, id=name) for name, play in BROKEN.items()], indirect=True)
async def test_a_broken_answer_is_a_failure_of_the_guard_and_no_verdict(
    asked: tuple[TritonGuard, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    guard, answering = asked
    before = _memory()
    with structlog.testing.capture_logs() as logs:
        findings, brief = await _judged(guard)
    (problem,) = findings.problems
    assert problem.reason is Reason.GUARD_FAILED
    assert answering.asked == 1, "asked once: the same model would say the same"
    decision = decide(findings.assessment(brief.model, 0.5), POLICY, {"t": Modality.TEXT}, findings.problems)
    assert (decision.status, decision.passing) == (Status.INDETERMINATE, True)
    assert decision.action is not Action.ALLOW
    out, err = capfd.readouterr()
    assert SECRET not in f"{problem.message} {decision.explanation} {logs} {out} {err}"
    assert _memory() - before < 500_000_000, "server and client share this process: several times 100 MB is the server's"


OTHER_MODES = ("not JSON", "unknown kind", "a label behind a critique", "the answer to another request", "an empty stream")


@pytest.mark.parametrize("asked", [pytest.param(BROKEN[name], id=name) for name in OTHER_MODES], indirect=True)
async def test_no_broken_answer_is_a_critique_or_says_what_the_engine_takes(asked: tuple[TritonGuard, Any]) -> None:
    guard, _ = asked
    with pytest.raises(Retryable) as caught:
        await guard.critique(REQUEST.model_copy(update={"mode": Mode.CRITIQUE}), ())
    assert caught.value.reason is Reason.GUARD_FAILED
    with pytest.raises(Retryable) as caught:
        await guard.capabilities()
    assert caught.value.reason is Reason.GUARD_FAILED


@pytest.mark.parametrize("code", STATUSES, ids=lambda code: code.name)
async def test_every_status_is_a_passing_failure_without_its_words(code: grpc.StatusCode) -> None:
    async def refuse(_: Any, context: Any) -> AsyncIterator[Any]:
        await context.abort(code, SECRET)
        yield

    answering, server, address = await serve(refuse)
    guard = TritonGuard([address], metrics=Metrics())
    try:
        with pytest.raises(Retryable) as caught:
            await guard.label(REQUEST.model_copy(update={"deadline_ms": 400}), ())
    finally:
        await guard.close()
        await server.stop(0)
    away = code.name in PASSING
    expected = {"DEADLINE_EXCEEDED": Reason.DEADLINE}.get(code.name, Reason.GUARD_UNAVAILABLE if away else Reason.GUARD_FAILED)
    assert caught.value.reason is expected
    assert SECRET not in str(caught.value)
    assert (answering.asked > 1) is away, "asked again only where another answer may come"


async def test_a_stream_on_which_nothing_comes_costs_the_request_its_deadline_and_is_cancelled() -> None:
    async def silent(_: Any, __: Any) -> AsyncIterator[Any]:
        await asyncio.sleep(60)
        yield

    answering, server, address = await serve(silent)
    guard = TritonGuard([address], metrics=Metrics())
    with pytest.raises(Retryable) as caught:
        await guard.label(REQUEST.model_copy(update={"deadline_ms": 300}), ())
    assert caught.value.reason is Reason.DEADLINE
    async with asyncio.timeout(10):
        while not answering.ended:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await guard.close()
    await server.stop(0)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("unavailable", Reason.GUARD_UNAVAILABLE),
        ("cancelled", Reason.GUARD_UNAVAILABLE),
        ("deadline", Reason.DEADLINE),
        ("internal", Reason.GUARD_FAILED),
        ("invalid_request", Reason.UNSUPPORTED),
        ("unsupported", Reason.UNSUPPORTED),
        ("low_mass", Reason.NOT_ASSESSED),
    ],
)
async def test_every_error_of_the_model_has_its_reason(code: str, reason: Reason) -> None:
    _, server, address = await serve(plays(({"kind": "error", "code": code, "message": "as told", "sequence": 0}, NAN)))
    guard = TritonGuard([address], metrics=Metrics())
    with pytest.raises((Retryable, BadContent)) as caught:
        await guard.label(REQUEST.model_copy(update={"deadline_ms": 400}), ())
    assert caught.value.reason is reason
    await guard.close()
    await server.stop(0)


async def _judged(guard: TritonGuard) -> tuple[Findings, Brief]:
    findings, clock = Findings(), SystemClock()
    brief = Brief(
        tenant="acme",
        content="acme|c",
        version=1,
        categories=wire_categories(POLICY),
        prompt_digest=POLICY.prompt_digest,
        floor=0.5,
        text="",
        context=(),
        deadline=Deadline(clock.monotonic() + 20),
        priority=1,
        model=ModelInfo("omniguard", "", "broken"),
        plan_digest="plan",
        memo=False,
    )
    segment = Segment("t", 0, Modality.TEXT, text=SECRET, start=0, end=len(SECRET))
    await Judge(guard, MemoryAssessmentStore(), clock, concurrency=1).judge(stream(replace(segment)), brief, findings)
    return findings, brief


def _memory() -> int:
    """The most that this process held so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
