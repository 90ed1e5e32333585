"""Waiting for the guard's servers, without any."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
from structlog.testing import capture_logs

from omniguard.adapters import triton_gates
from omniguard.adapters.clock import SystemClock
from omniguard.adapters.triton_channels import Server
from omniguard.adapters.triton_exchange import Unreachable
from omniguard.adapters.triton_gates import Gates
from omniguard.domain.breaker import BreakerState
from omniguard.errors import OmniGuardError, Reason, Retryable
from omniguard.observability import Metrics

ONE, TWO, THREE, FOUR = (Server(f"10.0.0.{n}:8001", object(), None) for n in range(1, 5))


class Servers:
    """What a probe finds."""

    def __init__(self) -> None:
        self.error: Exception | None = Unreachable("gRPC status UNAVAILABLE")
        self.probes = 0
        self.digest: str | None = None

    async def probe(self, _: Server) -> str | None:
        self.probes += 1
        if self.error is not None:
            raise self.error
        return self.digest


@pytest.fixture
def servers() -> Servers:
    return Servers()


@pytest.fixture
async def gates(servers: Servers) -> AsyncIterator[Gates]:
    """At first of ONE and TWO, which are tried at once as nobody has answered yet."""
    made = Gates(servers.probe, SystemClock(), Metrics(), "triton")
    made.keep([ONE, TWO])
    yield made
    await made.close()


def lose(gates: Gates, server: Server) -> None:
    for _ in range(3):
        gates.failed(server, "gRPC status UNAVAILABLE")


def told(gates: Gates) -> dict[str, float]:
    """Of the servers: how many are in each state."""
    return {state: gates._metrics.value("omniguard_breaker_state", part="triton", state=state) for state in BreakerState}


async def until(done: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_one_server_away_leaves_the_other(gates: Gates) -> None:
    lose(gates, ONE)
    assert gates.open([ONE, TWO]) == [TWO]
    assert gates.why([TWO]) == ""
    assert gates.why([TWO, ONE]) == "gRPC status UNAVAILABLE"


async def test_all_who_wait_wake_at_the_first_answer_and_probes_alone_have_asked(gates: Gates, servers: Servers) -> None:
    lose(gates, ONE)
    waiting = [asyncio.create_task(gates.wait(60)) for _ in range(100)]
    await until(lambda: servers.probes >= 3)
    assert not any(task.done() for task in waiting)
    before, servers.error = servers.probes, None
    await asyncio.wait_for(asyncio.gather(*waiting), 20)
    assert gates.open([ONE]) == [ONE]
    assert servers.probes <= before + 1


async def test_waiting_ends_with_the_time(gates: Gates) -> None:
    lose(gates, ONE)
    await asyncio.wait_for(gates.wait(0.01), 10)
    assert gates.open([ONE]) == []


@pytest.mark.parametrize(
    ("error", "there"),
    [
        (Retryable(Reason.GUARD_FAILED, "an answer that breaks the contract"), True),
        (Retryable(Reason.DEADLINE, "no answer in time"), False),
    ],
)
async def test_nonsense_is_an_answer_and_silence_is_none(
    gates: Gates, servers: Servers, error: OmniGuardError, there: bool
) -> None:
    servers.error = error
    lose(gates, ONE)
    await until(lambda: servers.probes >= (1 if there else 3))
    await until(lambda: bool(gates.open([ONE])) is there)


async def test_a_server_behind_a_new_channel_begins_anew(gates: Gates) -> None:
    lose(gates, ONE)
    again = Server(ONE.address, object(), None)
    gates.keep([again])
    assert gates.open([again])


async def test_requests_that_end_on_the_former_channel_of_an_address_tell_nothing_of_the_new_one(gates: Gates) -> None:
    """A replica that was not ready for a moment leaves the name and comes back, while its old requests still end."""
    gates.answered(TWO)
    gates.answered(ONE)
    gates.keep([again := Server(ONE.address, object(), None), TWO])
    assert gates.open([again, TWO]) == [TWO]  # it must answer a probe first
    gates.answered(ONE)
    assert gates.open([ONE, again, TWO]) == [TWO]
    gates.answered(again)
    lose(gates, ONE)
    assert gates.open([again, TWO]) == [again, TWO]


async def test_what_is_gone_counts_neither_as_there_nor_as_away(gates: Gates) -> None:
    """Else a worker that reaches nobody would for ever tell of a replica that a scale-in took, and no alert would fire."""
    gates.keep([ONE, TWO, THREE])
    for server in (ONE, TWO, THREE):
        gates.answered(server)
    gates.keep([ONE, TWO])
    lose(gates, ONE)
    assert told(gates) == {"closed": 1, "open": 1, "half_open": 0}
    gates.answered(THREE)  # a request that was under way
    assert told(gates) == {"closed": 1, "open": 1, "half_open": 0}
    assert (gates.away([ONE, TWO, THREE]), gates.open([THREE])) == (1, [])
    gates.keep([TWO])
    lose(gates, TWO)
    assert told(gates) == {"closed": 0, "open": 1, "half_open": 0}


async def test_a_server_that_comes_while_another_answers_must_answer_a_probe_first(gates: Gates, servers: Servers) -> None:
    gates.keep([ONE])
    gates.answered(ONE)
    gates.keep([ONE, TWO])
    assert gates.open([ONE, TWO]) == [ONE]
    assert gates.why([ONE, TWO]) == "a server that has not answered yet"
    await until(lambda: servers.probes >= 3)
    assert gates.open([ONE, TWO]) == [ONE]
    servers.error = None
    with capture_logs() as lines:
        await until(lambda: gates.open([ONE, TWO]) == [ONE, TWO])
    assert [line["event"] for line in lines] == ["a server of the guard answers for the first time"]


async def test_a_server_that_comes_while_nobody_answers_is_tried_at_once(gates: Gates, servers: Servers) -> None:
    gates.keep([ONE])  # asked, and not heard of yet
    gates.keep([ONE, TWO])
    assert gates.open([ONE, TWO]) == [ONE, TWO]
    gates.answered(ONE)
    lose(gates, ONE)
    gates.keep([ONE, TWO, THREE])
    assert gates.open([ONE, TWO, THREE]) == [TWO, THREE]


async def test_uploads_go_to_the_model_that_most_servers_have_and_stay_with_it_at_a_tie(gates: Gates, servers: Servers) -> None:
    """A rolling upgrade of the model, two servers: each step, and who is asked at it."""
    servers.error, servers.digest = None, "new"
    assert gates.of_one_model([ONE, TWO]) == [ONE, TWO]  # nobody has told anything
    gates.answered(ONE, "old")
    assert gates.of_one_model([ONE, TWO]) == [ONE, TWO]  # the second may have it too
    gates.answered(TWO, "old")
    gates.keep([ONE, TWO, THREE])
    await until(lambda: gates.open([THREE]))
    assert gates.of_one_model([ONE, TWO, THREE]) == [ONE, TWO]
    assert gates.of_one_model([TWO, THREE]) == [TWO]
    gates.keep([ONE, TWO, THREE, FOUR])
    await until(lambda: gates.open([FOUR]))
    assert gates.of_one_model([TWO, THREE, FOUR]) == [THREE, FOUR]
    assert gates.of_one_model([TWO, THREE]) == [THREE]  # and never back for one that stumbles
    gates.answered(THREE, "newest")  # loaded anew in its place: a label tells
    assert gates.of_one_model([THREE]) == [THREE]


async def test_an_answer_that_tells_no_model_leaves_what_was_told(gates: Gates) -> None:
    gates.answered(ONE, "a")
    gates.answered(TWO, "b")
    (in_force,) = gates.of_one_model([ONE, TWO])
    gates.answered(in_force)
    assert gates.of_one_model([ONE, TWO]) == [in_force]


async def test_nobody_is_probed_who_is_gone_or_while_no_request_comes(
    gates: Gates, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(gates, ONE)
    gates.keep([TWO])
    await asyncio.sleep(0.3)
    assert servers.probes == 0
    monkeypatch.setattr(triton_gates, "_FORGOTTEN_AFTER", 0.3)
    began = time.monotonic()
    gates.keep([TWO])
    lose(gates, TWO)
    await until(lambda: not gates._gates)
    assert time.monotonic() - began >= 0.3
    before = servers.probes
    await asyncio.sleep(0.3)
    assert servers.probes == before
    gates.keep([TWO])
    assert gates.open([TWO]) == [TWO]


async def test_nothing_is_probed_once_they_are_closed(gates: Gates, servers: Servers) -> None:
    await gates.close()
    lose(gates, ONE)
    assert gates.open([ONE]) == []
    await asyncio.sleep(0.3)
    assert servers.probes == 0


async def test_an_outage_is_logged_once_and_its_end(gates: Gates, servers: Servers) -> None:
    with capture_logs() as lines:
        lose(gates, ONE)
        await until(lambda: servers.probes >= 2)
        gates.failed(ONE, "gRPC status UNAVAILABLE")
        servers.error = None
        await until(lambda: gates.open([ONE]))
    assert [(line["log_level"], line["address"]) for line in lines] == [("warning", ONE.address), ("info", ONE.address)]
