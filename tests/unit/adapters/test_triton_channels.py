from __future__ import annotations

import asyncio
import socket

import pytest

from faults.worker import eventually
from omniguard.adapters import triton_channels
from omniguard.adapters.triton_channels import Channels


async def test_a_name_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"guard:8001": ["10.0.0.1:8001", "10.0.0.2:8001"]}

    async def resolve(target: str) -> list[str]:
        return found[target]

    monkeypatch.setattr(triton_channels, "_resolve", resolve)
    channels = Channels(["guard:8001"], refresh=0.0)
    first = {server.address: server for server in await channels.servers()}
    assert set(first) == {"10.0.0.1:8001", "10.0.0.2:8001"}
    found["guard:8001"] = ["10.0.0.2:8001", "10.0.0.3:8001"]
    second = {server.address: server for server in await channels.servers()}
    assert set(second) == {"10.0.0.2:8001", "10.0.0.3:8001"}
    assert second["10.0.0.2:8001"] is first["10.0.0.2:8001"]
    found["guard:8001"] = []  # the name service is away: what was known stays
    assert {server.address for server in await channels.servers()} == set(second)
    await channels.close()
    assert await channels.servers() == []


async def test_a_name_that_cannot_be_looked_up_now_keeps_its_servers_while_another_loses_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: dict[str, list[str] | None] = {"a:8001": ["10.0.0.1:8001"], "b:8001": ["10.0.0.2:8001", "10.0.0.3:8001"]}

    async def resolve(target: str) -> list[str] | None:
        return found[target]

    monkeypatch.setattr(triton_channels, "_resolve", resolve)
    channels = Channels(["a:8001", "b:8001"], refresh=0.0)
    assert len(await channels.servers()) == 3
    found |= {"a:8001": None, "b:8001": ["10.0.0.3:8001"]}
    assert {server.address for server in await channels.servers()} == {"10.0.0.1:8001", "10.0.0.3:8001"}
    await channels.close()


async def test_a_name_service_that_hangs_holds_up_nobody_who_knows_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = asyncio.Event()
    answer.set()
    found = ["10.0.0.1:8001"]

    async def resolve(_: str) -> list[str]:
        await answer.wait()
        return found

    monkeypatch.setattr(triton_channels, "_resolve", resolve)
    channels = Channels(["guard:8001"], refresh=0.0)
    (first,) = await channels.servers()
    answer.clear()
    found = ["10.0.0.1:8001", "10.0.0.2:8001"]
    assert await asyncio.wait_for(asyncio.gather(*(channels.servers() for _ in range(50))), 20) == [[first]] * 50
    answer.set()
    await eventually(lambda: len(channels._servers) == 2, 20, "both servers, without anybody waiting for them")
    await channels.close()


async def test_localhost_is_one_server() -> None:
    channels = Channels(["localhost:8001", "no-such-host.invalid:8001"])
    assert [server.address for server in await channels.servers()] == [f"{socket.gethostbyname('localhost')}:8001"]
    await channels.close()
