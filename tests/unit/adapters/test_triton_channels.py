from __future__ import annotations

import socket

import pytest

from omniguard.adapters import triton_channels
from omniguard.adapters.triton_channels import Channels, rendezvous

ADDRESSES = [f"10.0.0.{n}:8001" for n in range(5)]


def test_a_content_keeps_its_server_and_a_server_that_goes_moves_only_its_own() -> None:
    keys = [f"acme|post-{n}" for n in range(500)]
    before = {key: rendezvous(key, ADDRESSES)[0] for key in keys}
    after = {key: rendezvous(key, ADDRESSES[1:])[0] for key in keys}
    assert {before[key] for key in keys} == set(ADDRESSES)
    for key in keys:
        assert sorted(rendezvous(key, ADDRESSES)) == sorted(ADDRESSES)
        assert rendezvous(key, ADDRESSES[::-1]) == rendezvous(key, ADDRESSES)
        if before[key] != ADDRESSES[0]:
            assert after[key] == before[key]


def test_without_affinity_every_server_is_first_now_and_then() -> None:
    assert {rendezvous("", ADDRESSES)[0] for _ in range(400)} == set(ADDRESSES)


async def test_a_name_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"guard:8001": ["10.0.0.1:8001", "10.0.0.2:8001"]}

    async def resolve(target: str) -> list[str]:
        return found[target]

    monkeypatch.setattr(triton_channels, "_resolve", resolve)
    channels = Channels(["guard:8001"], refresh=0.0)
    first = {server.address: server for server in await channels.order("x")}
    assert set(first) == {"10.0.0.1:8001", "10.0.0.2:8001"}
    found["guard:8001"] = ["10.0.0.2:8001", "10.0.0.3:8001"]
    second = {server.address: server for server in await channels.order("x")}
    assert set(second) == {"10.0.0.2:8001", "10.0.0.3:8001"}
    assert second["10.0.0.2:8001"] is first["10.0.0.2:8001"]
    found["guard:8001"] = []  # the name service is away: what was known stays
    assert {server.address for server in await channels.order("x")} == set(second)
    await channels.close()
    assert await channels.order("x") == []


async def test_localhost_is_one_server() -> None:
    channels = Channels(["localhost:8001", "no-such-host.invalid:8001"])
    assert [server.address for server in await channels.order("x")] == [f"{socket.gethostbyname('localhost')}:8001"]
    await channels.close()
