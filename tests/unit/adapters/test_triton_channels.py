from __future__ import annotations

import socket

import pytest

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


async def test_localhost_is_one_server() -> None:
    channels = Channels(["localhost:8001", "no-such-host.invalid:8001"])
    assert [server.address for server in await channels.servers()] == [f"{socket.gethostbyname('localhost')}:8001"]
    await channels.close()
