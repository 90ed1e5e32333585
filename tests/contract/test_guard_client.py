"""One suite for every GuardModel: the twin, a scripted model in the genuine Triton, and the guard model of this checkout."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from faults.worker import eventually
from omniguard.adapters.memory_guard import MemoryGuard
from omniguard.adapters.triton_guard import TritonGuard
from omniguard.devstack import Stack, StackUrls
from omniguard.domain.taxonomy import TEST, TEST_PHRASE, UNCATEGORIZED
from omniguard.errors import BadContent, Reason, Retryable
from omniguard.guard.wire import GuardRequest, Mode, WireCategory, WirePart
from omniguard.observability import Metrics
from omniguard.ports import GuardModel

HERE = Path(__file__).parent
POLICY = (WireCategory(name="hate", description="Demeans people for what they are."),)


def asking(text: str, *, mode: Mode = Mode.LABEL, **more: object) -> GuardRequest:
    part = WirePart(id="p0", modality="text", text=text)
    fields = {"deadline_ms": 20_000, **more}
    return GuardRequest(mode=mode, policy=POLICY, parts=(part,), **fields)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notes")


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory, notes: Path) -> Iterator[Callable[[], Stack]]:
    """The genuine Triton with the scripted model; started by the first test that asks."""
    folder = tmp_path_factory.mktemp("scripted") / "stack"
    stack = Stack(
        folder,
        parts=("triton",),
        model_repository=HERE / "scripted_guard",
        triton_env={"OMNIGUARD_SCRIPT_NOTES": str(notes)},
        owner=os.getpid(),
    )
    started: list[StackUrls] = []

    def running() -> Stack:
        if not started:
            started.append(stack.up())
        return stack

    yield running
    stack.down(grace=1.0)


@pytest.fixture
async def client(scripted: Callable[[], Stack]) -> AsyncIterator[TritonGuard]:
    guard = TritonGuard([scripted().urls().triton], metrics=Metrics())
    yield guard
    await guard.close()


@pytest.fixture(
    params=[
        "twin",
        pytest.param("scripted", marks=pytest.mark.triton),
        pytest.param("checkout", marks=[pytest.mark.triton, pytest.mark.slow]),
    ]
)
async def guard(request: pytest.FixtureRequest) -> AsyncIterator[GuardModel]:
    if request.param == "twin":
        yield MemoryGuard()
        return
    address = (
        request.getfixturevalue("triton_url")
        if request.param == "checkout"
        else request.getfixturevalue("scripted")().urls().triton
    )
    client = TritonGuard([address], metrics=Metrics())
    yield client
    await client.close()


# What every guard keeps.


async def test_capabilities_name_modalities_and_a_digest(guard: GuardModel) -> None:
    found = await guard.capabilities()
    assert "text" in found.modalities
    assert TEST in found.assessed["text"]
    assert found.digest
    assert found.max_text_chars > 0


async def test_a_harmless_text_gets_a_label_alone(guard: GuardModel) -> None:
    found = await guard.label(asking("The library opens at nine on Saturdays."), ())
    assert found.event.label == "safe"
    assert 0.0 <= found.event.unsafe < 0.5
    assert found.categories == ()
    assert TEST in found.event.assessed["text"]


async def test_the_test_phrase_is_named(guard: GuardModel) -> None:
    found = await guard.label(asking(f"Checking: {TEST_PHRASE}"), (), affinity="acme|post-1")
    assert found.event.unsafe == pytest.approx(1.0)
    assert TEST in {category.name for category in found.categories}


async def test_a_critique_is_one_text(guard: GuardModel) -> None:
    request = asking(f"Checking: {TEST_PHRASE}", mode=Mode.CRITIQUE, label="unsafe", categories=(TEST,))
    found = await guard.critique(request, ())
    assert "test" in found.text.casefold()


async def test_no_time_left_is_a_deadline(guard: GuardModel) -> None:
    with pytest.raises(Retryable) as caught:
        await guard.label(asking("anything", deadline_ms=0), ())
    assert caught.value.reason is Reason.DEADLINE


# What the client makes of a model that answers wrongly.


@pytest.mark.triton
@pytest.mark.parametrize(
    ("scene", "reason", "says"),
    [
        ("wrong_sequence", Reason.GUARD_FAILED, "found event number 3, expected number 0"),
        ("missing_final", Reason.GUARD_FAILED, "found the end of the answer after 1 events, expected a final event"),
        ("goes_on", Reason.GUARD_FAILED, "found more after the final event"),
        ("other_tensor", Reason.GUARD_FAILED, "found UNSAFE 0.250000 beside a label event, expected 0.125000"),
        ("out_of_range", Reason.GUARD_FAILED, "wrong at label.unsafe"),
        ("no_json", Reason.GUARD_FAILED, "wrong at the whole"),
        ("unknown_kind", Reason.GUARD_FAILED, "expected one of the contract's events"),
        ("label_without_categories", Reason.GUARD_FAILED, "found events label, expected a label, and categories"),
        ("stranger", Reason.GUARD_FAILED, "found a category that the request did not name"),
        ("two_elements", Reason.GUARD_FAILED, "expected EVENT BYTES[1] and UNSAFE FP32[1]"),
        ("raises", Reason.GUARD_FAILED, "gRPC status"),
        ("errs:internal", Reason.GUARD_FAILED, "found error internal (as scripted)"),
        ("errs:deadline", Reason.DEADLINE, "found error deadline"),
    ],
)
async def test_a_wrong_answer_is_told_by_its_kind(client: TritonGuard, scene: str, reason: Reason, says: str) -> None:
    with pytest.raises(Retryable) as caught:
        await client.label(asking(f"play:{scene}"), ())
    assert caught.value.reason is reason
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.triton
async def test_unsupported_is_the_contents_fault(client: TritonGuard) -> None:
    with pytest.raises(BadContent) as caught:
        await client.label(asking("play:errs:unsupported"), ())
    assert caught.value.reason is Reason.UNSUPPORTED


@pytest.mark.triton
async def test_an_answer_that_is_neither_safe_nor_unsafe_does_not_pass_by_asking_again(client: TritonGuard) -> None:
    with pytest.raises(BadContent, match="low_mass") as caught:
        await client.label(asking("play:errs:low_mass"), ())
    assert (caught.value.reason, caught.value.reason.passing) == (Reason.NOT_ASSESSED, False)


@pytest.mark.triton
async def test_a_name_of_the_models_own_is_uncategorized_and_repeats_merge(client: TritonGuard) -> None:
    before = client._metrics.value("omniguard_unmapped_names_total")
    found = await client.label(asking("play:unmapped"), ())
    assert [(category.name, category.confidence) for category in found.categories] == [(UNCATEGORIZED, 0.75), ("hate", 0.75)]
    assert set(found.free) == {"Election interference"}
    assert client._metrics.value("omniguard_unmapped_names_total") == before + 2


@pytest.mark.triton
async def test_media_arrive_as_they_were_sent(client: TritonGuard) -> None:
    media = [b"", b"\x01\x02", bytes(300_000), b"\xff" * 7]
    found = await client.label(asking("play:echo_sizes"), media)
    assert [(e.start, e.end) for e in found.event.evidence] == [(len(m), sum(m)) for m in media]


# Time.


@pytest.mark.triton
async def test_a_model_that_hangs_costs_the_deadline(client: TritonGuard) -> None:
    with pytest.raises(Retryable) as caught:
        await client.label(asking("play:never_final", deadline_ms=500), ())
    assert caught.value.reason is Reason.DEADLINE


@pytest.mark.triton
async def test_a_full_model_is_asked_again(client: TritonGuard) -> None:
    found = await client.label(asking("play:flaky:again:3"), ())
    assert found.event.label == "safe"


@pytest.mark.triton
async def test_a_model_that_stays_full_is_unavailable_at_the_deadline(client: TritonGuard) -> None:
    with pytest.raises(Retryable) as caught:
        await client.label(asking("play:errs:unavailable", deadline_ms=700), ())
    assert caught.value.reason is Reason.GUARD_UNAVAILABLE


@pytest.mark.triton
async def test_without_a_deadline_patience_is_the_limit(scripted: Callable[[], Stack]) -> None:
    client = TritonGuard([scripted().urls().triton], patience=0.5, metrics=Metrics())
    with pytest.raises(Retryable) as caught:
        await client.label(asking("play:errs:unavailable", deadline_ms=None), ())
    assert caught.value.reason is Reason.GUARD_UNAVAILABLE
    assert (await client.label(asking("hello", deadline_ms=None), ())).event.label == "safe"
    await client.close()


@pytest.mark.triton
async def test_the_model_is_told_what_is_left(client: TritonGuard) -> None:
    found = await client.label(asking("play:tells_deadline", deadline_ms=5_000), ())
    (told,) = found.event.evidence
    assert told.start is not None
    assert 0 < told.start <= 5_000


@pytest.mark.triton
async def test_cancelling_the_call_cancels_the_request_inside_triton(client: TritonGuard, notes: Path) -> None:
    call = asyncio.create_task(client.label(asking("play:waits:one"), ()))
    await eventually((notes / "started-one").exists, 60, "the request under way")
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await eventually((notes / "cancelled-one").exists, 60, "the end of the request")


@pytest.mark.triton
async def test_many_requests_at_once(client: TritonGuard) -> None:
    found = await asyncio.gather(*(client.label(asking(f"number {n}"), (), affinity=str(n)) for n in range(64)))
    assert {answer.event.label for answer in found} == {"safe"}


# Servers that come and go.


@pytest.mark.triton
async def test_another_server_answers_for_one_that_is_away(scripted: Callable[[], Stack]) -> None:
    metrics = Metrics()
    nobody = "127.0.0.1:9"  # discard: refused at once
    client = TritonGuard([nobody, scripted().urls().triton], metrics=metrics)
    for n in range(8):
        assert (await client.label(asking("hello"), (), affinity=str(n))).event.label == "safe"
    assert metrics.value("omniguard_guard_requests_total", mode="label", stage="full", outcome="ok") == 8
    assert metrics.value("omniguard_guard_retries_total", mode="label", stage="full") > 0
    await client.close()


@pytest.mark.triton
@pytest.mark.slow
async def test_a_call_waits_for_triton_to_come_back(scripted: Callable[[], Stack], client: TritonGuard) -> None:
    assert (await client.label(asking("before"), ())).event.label == "safe"
    stack = scripted()
    await asyncio.to_thread(stack.kill, "triton")
    with pytest.raises(Retryable) as caught:
        await client.label(asking("away", deadline_ms=600), ())
    assert caught.value.reason is Reason.GUARD_UNAVAILABLE
    waiting = asyncio.create_task(client.label(asking("after", deadline_ms=120_000), ()))
    await asyncio.to_thread(stack.start, "triton")
    assert (await waiting).event.label == "safe"


@pytest.mark.triton
@pytest.mark.slow
async def test_a_call_in_flight_outlives_a_kill(scripted: Callable[[], Stack], client: TritonGuard, notes: Path) -> None:
    stack = scripted()
    request = asking("play:waits:killed", deadline_ms=1_000_000)
    in_flight = asyncio.create_task(client.label(request, ()))
    await eventually((notes / "started-killed").exists, 60, "the request under way")
    (notes / "started-killed").unlink()
    await asyncio.to_thread(stack.kill, "triton")
    await asyncio.to_thread(stack.start, "triton")
    await eventually((notes / "started-killed").exists, 60, "the request under way")  # asked again, of the new server
    in_flight.cancel()
    with pytest.raises(asyncio.CancelledError):
        await in_flight


@pytest.mark.triton
@pytest.mark.slow
async def test_a_dead_model_process_counts_as_away(scripted: Callable[[], Stack], client: TritonGuard) -> None:
    """Triton stays ready when a model's process has died: every request ends with INTERNAL until somebody loads it again."""
    with pytest.raises(Retryable) as caught:
        await client.label(asking("play:dies", deadline_ms=3_000), ())
    assert caught.value.reason in (Reason.GUARD_UNAVAILABLE, Reason.DEADLINE)
    with pytest.raises(Retryable) as caught:
        await client.label(asking("hello", deadline_ms=4_000), ())
    assert caught.value.reason is Reason.GUARD_UNAVAILABLE
    await asyncio.to_thread(scripted().stop, "triton", grace=1.0)
    await asyncio.to_thread(scripted().start, "triton")
    assert (await client.label(asking("hello"), ())).event.label == "safe"
