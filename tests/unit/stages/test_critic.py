"""The critic never keeps anybody waiting for ever, and shows the guard the right bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from omniguard.adapters.memory_guard import GuardCall, MemoryGuard
from omniguard.domain.content import Frame, Modality, Segment, Sound, Turn
from omniguard.domain.decision import Decision, decide
from omniguard.domain.scores import Assessment, Critique, ModelInfo, NamedCategory, PartCoverage, SegmentScore
from omniguard.domain.verdict import NoCritique
from omniguard.errors import BadContent, OmniGuardError, Reason, Retryable
from omniguard.guard.wire import GuardRequest, Mode, Priority
from omniguard.stages.critic import Critic
from omniguard.stages.examine import wire_categories
from stage_bench import POLICY

TEXT = Segment("t", 0, Modality.TEXT, text="stab")


def decision(name: str = "violent_crimes", unsafe: float = 0.97) -> Decision:
    score = SegmentScore("t", 0, {"text": unsafe}, categories=(NamedCategory(name, 0.9),))
    found = Assessment(ModelInfo("omniguard", "d", "memory"), (score,), {"t": PartCoverage()})
    return decide(found, POLICY, {"t": Modality.TEXT})


async def write(critic: Critic, *segments: Segment, made: Decision | None = None) -> Critique | NoCritique:
    return await critic.write(
        made or decision(),
        segments or (TEXT,),
        tenant="acme",
        affinity="hash",
        categories=wire_categories(POLICY),
        context=(Turn("user", "earlier"),),
        traceparent=None,
    )


def critic(guard: MemoryGuard, *, concurrency: int = 2, queue: int = 1, timeout: float = 5.0) -> Critic:
    return Critic(guard, concurrency=concurrency, queue=queue, timeout=timeout)


async def test_a_critique_explains_what_was_decided() -> None:
    guard = MemoryGuard()
    written = await write(critic(guard))
    assert isinstance(written, Critique)
    (call,) = guard.calls
    assert (call.request.mode, call.request.label, call.request.categories) == (Mode.CRITIQUE, "unsafe", ("violent_crimes",))
    assert (call.request.priority, call.affinity) == (Priority.CRITIQUE, "hash")


async def test_harm_without_a_name_is_unsafe_and_the_guard_is_told_no_name() -> None:
    guard = MemoryGuard()
    await write(critic(guard), made=decision("of its own"))
    assert (guard.calls[0].request.label, guard.calls[0].request.categories) == ("unsafe", ())


async def test_an_allowed_upload_is_explained_as_safe() -> None:
    guard = MemoryGuard()
    await write(critic(guard), made=decision(unsafe=0.1))
    assert guard.calls[0].request.label == "safe"


async def test_more_than_the_queue_takes_is_shed_at_once() -> None:
    guard = MemoryGuard(delay=0.02)
    four = critic(guard, concurrency=2, queue=1)
    written = await asyncio.gather(*(write(four) for _ in range(4)))
    assert [w for w in written if isinstance(w, NoCritique)] == [NoCritique.SHED]
    assert isinstance(await write(four), Critique)


class Hung(MemoryGuard):
    """Never answers. The twin itself gives up at the request's deadline, which ties with the critic's own limit."""

    async def critique(self, request: GuardRequest, media: Sequence[bytes], *, affinity: str = "") -> Critique:
        self.calls.append(GuardCall(request, len(media), affinity))
        return await asyncio.get_running_loop().create_future()


async def test_waiting_in_the_queue_counts_towards_the_time_limit() -> None:
    guard = Hung()
    one = critic(guard, concurrency=1, queue=1, timeout=0.5)
    assert await asyncio.gather(write(one), write(one)) == [NoCritique.TIMEOUT, NoCritique.TIMEOUT]
    # The second began a moment later, so that a moment may be left to it when the first gives up.
    assert all((call.request.deadline_ms or 0) < 250 for call in guard.calls[1:])
    assert one.waiting == 0


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Retryable(Reason.DEADLINE, "late"), NoCritique.TIMEOUT),
        (Retryable(Reason.GUARD_UNAVAILABLE, "away"), NoCritique.UNAVAILABLE),
        (Retryable(Reason.GUARD_FAILED, "failed"), NoCritique.UNAVAILABLE),
        (BadContent(Reason.UNSUPPORTED, "no"), NoCritique.UNAVAILABLE),
    ],
    ids=lambda value: value.reason.value if isinstance(value, OmniGuardError) else value,
)
async def test_the_guards_failings_are_told_by_their_kind(error: OmniGuardError, told: NoCritique) -> None:
    one = critic(MemoryGuard(script=[error]))
    assert await write(one) is told
    assert one.waiting == 0


async def test_a_cancelled_critique_gives_its_place_back() -> None:
    one = critic(MemoryGuard(delay=60), concurrency=1, queue=0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await write(one)
    assert one.waiting == 0


async def test_each_part_of_joined_segments_points_at_its_own_media() -> None:
    shown: list[list[bytes]] = []

    class Showing(MemoryGuard):
        async def critique(self, request, media, *, affinity=""):  # type: ignore[no-untyped-def]
            shown.append(list(media))
            return await super().critique(request, media, affinity=affinity)

    guard = Showing()
    film = Segment("v", 3, Modality.VIDEO, 0.0, 6.0, frames=(Frame(b"f1"), Frame(b"f2", 1.0)), sound=Sound(b"s1"))
    heard = Segment("a", 0, Modality.AUDIO, 0.0, 6.0, sound=Sound(b"s2"))
    still = Segment("i", 0, Modality.IMAGE, frames=(Frame(b"f3"),))
    await write(critic(guard), film, heard, TEXT, still)
    parts, (media,) = guard.calls[0].request.parts, shown
    seen = [(p.id, p.modality, media[slice(*p.media)] if p.media else []) for p in parts]
    assert seen == [
        ("t", "text", []),
        ("v", "video", [b"f1", b"f2"]),
        ("v", "audio", [b"s1"]),
        ("a", "audio", [b"s2"]),
        ("i", "image", [b"f3"]),
    ]


async def test_the_more_wait_the_fewer_tokens_each_gets() -> None:
    guard = MemoryGuard(delay=0.01)
    one = Critic(guard, concurrency=1, queue=4, timeout=5.0, tokens=200, least_tokens=40)
    await asyncio.gather(*(write(one) for _ in range(5)))
    assert [call.request.max_tokens for call in guard.calls] == [200, 80, 120, 160, 200]
    await write(one)
    assert guard.calls[-1].request.max_tokens == 200


async def test_a_full_queue_is_down_to_the_least() -> None:
    one = Critic(MemoryGuard(delay=60), concurrency=1, queue=4, timeout=5.0, tokens=200, least_tokens=40)
    waiting = [asyncio.create_task(write(one)) for _ in range(5)]
    await asyncio.sleep(0)
    assert (one.waiting, one.budget) == (5, 40)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert one.budget == 200


async def test_the_guard_is_told_the_time_left_behind_the_queue() -> None:
    guard = MemoryGuard(delay=0.2)
    one = critic(guard, concurrency=1, queue=1, timeout=5.0)
    await asyncio.gather(write(one), write(one))
    first, second = (call.request.deadline_ms for call in guard.calls)
    assert first is not None
    assert second is not None
    assert second <= first - 150
