"""In which order a client asks its servers; nothing is asked here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import NoReturn

import pytest

from omniguard.adapters.clock import ManualClock
from omniguard.adapters.triton_balance import rendezvous
from omniguard.adapters.triton_channels import Server
from omniguard.adapters.triton_exchange import Unavailable
from omniguard.adapters.triton_guard import TritonGuard
from omniguard.errors import Retryable
from omniguard.guard.wire import GuardRequest, Mode
from omniguard.observability import Metrics

SERVERS = [Server(f"10.0.0.{n}:8001", object(), None) for n in range(4)]
ADDRESSES = [server.address for server in SERVERS]


@pytest.fixture
async def guard() -> AsyncIterator[TritonGuard]:
    made = TritonGuard(["guard:8001"], metrics=Metrics())
    made._gates.keep(SERVERS)
    for server in SERVERS:
        made._gates.answered(server)
    yield made
    await made.close()


def turns(guard: TritonGuard, mode: Mode = Mode.LABEL, servers: list[Server] = SERVERS) -> list[str]:
    return [server.address for server in guard._in_turn(servers, mode, "content")]


async def test_each_server_is_asked_once_in_the_order_of_the_content(guard: TritonGuard) -> None:
    assert turns(guard) == turns(guard, Mode.CRITIQUE) == rendezvous("content", ADDRESSES)


async def test_a_server_that_has_its_share_comes_later_for_a_label_and_first_for_the_critique_of_its_label(
    guard: TritonGuard,
) -> None:
    first, *others = rendezvous("content", ADDRESSES)
    guard._labelled.put("content", first)
    with ExitStack() as busy:
        for _ in range(3):
            busy.enter_context(guard._loads.under_way(first))
        assert turns(guard)[0] == others[0]
        assert turns(guard, Mode.CRITIQUE)[0] == first


async def test_a_critique_goes_on_in_the_order_where_the_labels_server_is_gone_or_away(guard: TritonGuard) -> None:
    *others, last = rendezvous("content", ADDRESSES)
    guard._labelled.put("content", last)
    assert turns(guard, Mode.CRITIQUE) == [last, *others]
    assert turns(guard, Mode.CRITIQUE, [s for s in SERVERS if s.address != last]) == others
    for _ in range(3):
        guard._gates.failed(next(s for s in SERVERS if s.address == last), "gRPC status UNAVAILABLE")
    assert turns(guard, Mode.CRITIQUE) == others


async def test_a_server_that_fails_under_the_turns_is_not_asked_again_in_them(guard: TritonGuard) -> None:
    order = rendezvous("content", ADDRESSES)
    asked = []
    for server in guard._in_turn(SERVERS, Mode.LABEL, "content"):
        asked.append(server.address)
        if server.address == order[0]:
            for other in SERVERS:
                if other.address == order[1]:
                    for _ in range(3):
                        guard._gates.failed(other, "gRPC status UNAVAILABLE")
    assert asked == [order[0], *order[2:]]


async def test_another_model_is_asked_neither_first_nor_last(guard: TritonGuard) -> None:
    """Its label would have the upload judged again; who has the model in force is asked again, or another becomes it."""
    for server, digest in zip(SERVERS, ("old", "old", "old", "new"), strict=True):
        guard._gates.answered(server, digest)
    assert sorted(turns(guard)) == ADDRESSES[:3]


async def test_what_the_tries_took_is_not_waited_for_again(guard: TritonGuard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a request that nobody answered would end behind its deadline."""
    guard._clock = clock = ManualClock()
    pauses = list[float]()

    async def one() -> list[Server]:
        return SERVERS[:1]

    async def nobody(*_: object) -> NoReturn:
        clock.advance(9.99)
        raise Unavailable("full")

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        clock.advance(seconds)

    monkeypatch.setattr(guard._channels, "servers", one)
    monkeypatch.setattr(guard, "_try", nobody)
    monkeypatch.setattr(asyncio, "sleep", pause)
    with pytest.raises(Retryable, match="found full"):
        await guard.label(GuardRequest(mode=Mode.LABEL, deadline_ms=10_000), ())
    assert pauses == [pytest.approx(0.01)]
