"""Redis flushed, slow, full, failed over, talking nonsense, stopped and killed, under uploads: misses, and nothing else.

`make faults` takes each alone, under a steady flow; here they come one after another to one worker.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from counting_store import CountingStore
from faults import table
from faults.flow import Flow
from faults.harness import Installation
from faults.metric import metric
from faults.nursery import Nursery
from faults.redis_parts import Pair
from faults.table import Fault
from faults.test_redis_faults import BOUND, FOUND, use_all
from faults.worker import Worker
from front import Front

pytestmark = pytest.mark.stack

NONSENSE = {
    "no protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "wrong types": b"*2\r\n:1\r\n+OK\r\n",
    "half an answer": b"$100\r\nabc",
}


class Redis:
    """What is done to Redis."""

    def __init__(self, pair: Pair, front: Front) -> None:
        self.pair, self.front = pair, front
        self.url = f"redis://127.0.0.1:{front.port}/0"

    async def flush(self) -> None:
        self.pair.primary.client().flushall()

    async def freeze(self) -> None:
        self.pair.freeze()

    async def kill(self) -> None:
        assert self.pair.primary._process is not None
        self.pair.primary._process.kill()

    async def slow(self, delay: float) -> None:
        self.front.delay = delay

    async def pause(self) -> None:
        self.pair.primary.client().execute_command("CLIENT", "PAUSE", "5000", "ALL")

    async def fill(self) -> None:
        self.pair.primary.client().config_set("maxmemory-policy", "noeviction")
        self.pair.primary.client().config_set("maxmemory", "1")

    async def read_only(self) -> None:
        """Another replica was promoted by hand; nobody closed our connections, and the address leads there by now."""
        self.pair.replica.client().replicaof("NO", "ONE")
        self.pair.primary.client().replicaof("127.0.0.1", self.pair.replica.port)
        self.front.target = self.pair.replica.port

    async def talk(self, nonsense: bytes) -> None:
        self.front.nonsense = nonsense


FAULTS: dict[str, tuple[Callable[[Redis], Awaitable[None]], str]] = {
    "flushed": (Redis.flush, "FLUSHALL"),
    "slow, 50 ms": (lambda redis: redis.slow(0.05), "every answer 50 ms late"),
    "slow, 0.2 s": (lambda redis: redis.slow(0.2), "every answer 0.2 s late: within the time-out of a call"),
    "slow, 5 s": (lambda redis: redis.slow(5.0), "every answer 5 s late"),
    "paused": (Redis.pause, "CLIENT PAUSE ALL for 5 s"),
    "full": (Redis.fill, "maxmemory reached with noeviction: writes are refused"),
    "left behind": (Redis.read_only, "REPLICAOF: the address leads to the new primary, connections stay with the read-only one"),
    "nonsense": (lambda redis: redis.talk(NONSENSE["wrong types"]), "every answer is a list of other types"),
    "hung": (Redis.freeze, "SIGSTOP of the primary; nobody promotes"),
    "killed": (Redis.kill, "kill -9 of the primary; nobody promotes"),
}


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    """A primary with a replica, behind one address."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with Pair(folder) as pair:
        async with Front(pair.primary.port) as front:
            yield Redis(pair, front)


@pytest.fixture
async def installed(
    nursery: Nursery, kafka_url: str, topic_prefix: str, tmp_path: Path, seed: int, redis: Redis
) -> AsyncIterator[tuple[Installation, Worker]]:
    """An installation with one worker on that Redis."""
    url = redis.url
    async with Installation(nursery, kafka_url, topic_prefix, tmp_path / "i", seed=seed, redis=url) as made:
        await made.create(partitions=2)
        yield made, await made.start()


async def test_one_state_after_another(installed: tuple[Installation, Worker], redis: Redis) -> None:
    installation, worker = installed
    await installation.upload("head", "hold:head hateword")
    await installation.until_started("head")  # in flight through all of it: its lease and its count vanish, and it ends
    for name in ("flushed", "slow, 0.2 s", "full", "nonsense", "left behind"):
        await _is_used_again(installation, worker, f"before {name}")
        hurt, _ = FAULTS[name]
        await hurt(redis)
        before = installation.observer.seen.ended()
        await _uploads(installation, name, 12)
        await installation.observer.until(lambda seen, n=before: seen.ended() >= n + 12, what=f"answers with Redis {name}")
        redis.front.delay, redis.front.nonsense = 0.0, b""
        redis.pair.primary.client().config_set("maxmemory", "0")
    await _is_used_again(installation, worker, "at last")
    for kind in ("response", "connection", "read_only", "skipped"):
        assert await metric(worker, "omniguard_redis_errors_total", kind=kind) > 0, kind
    installation.go("head")
    await installation.observer.until_committed()
    report = await installation.check()
    assert report.duplicates == 0
    assert {v.status for v in installation.observer.seen.verdicts} == {"final"}


async def test_answers_that_stay_slow_are_an_outage_though_each_is_in_time(redis: Redis, tmp_path: Path) -> None:
    store = CountingStore(redis.url, tmp_path / "state")
    await store.put("k", FOUND, content="acme|1")
    redis.front.delay = 0.15
    async with asyncio.timeout(BOUND):
        while not store.errors["skipped"]:
            await store.recall("s")
    assert store.errors["slow"] == 1
    redis.front.delay = 0.0
    async with asyncio.timeout(BOUND):
        while await store.get("k") is None:  # noqa: ASYNC110  Redis has no event
            await asyncio.sleep(0.05)
    await store.close()


@pytest.mark.parametrize("nonsense", NONSENSE)
async def test_every_method_of_the_store_is_a_miss_on_nonsense(nonsense: str, redis: Redis, tmp_path: Path) -> None:
    redis.front.nonsense = NONSENSE[nonsense]
    store = CountingStore(redis.url, tmp_path / "state")
    async with asyncio.timeout(BOUND):
        await use_all(store)
    assert sum(store.errors.values()) > 0
    redis.front.nonsense = b""
    async with asyncio.timeout(BOUND):
        while not await store._link.run(lambda client: client.ping(), otherwise=False):  # noqa: ASYNC110  Redis has no event
            await asyncio.sleep(0.05)
    await store.close()


@pytest.mark.long
@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_under_a_flow(name: str, installed: tuple[Installation, Worker], redis: Redis) -> None:
    hurt, done = FAULTS[name]
    installation, worker = installed
    async with Flow(installation, partitions=2) as flow:
        await flow.runs()
        fault = time.monotonic()
        await hurt(redis)
        first = await _first(installation, flow, fault)
        await flow.runs(60)
        await flow.recovery(fault)
    report = await installation.check()
    assert report.events == flow.uploads
    assert worker.alive
    table.note(Fault("redis", name, done, report.events, 0, report.duplicates, first))


@pytest.mark.long
async def test_sentinel_fails_over_under_a_flow(installed: tuple[Installation, Worker], redis: Redis) -> None:
    """The primary hangs, Sentinel promotes the replica, the address follows; the old primary wakes and becomes a replica."""
    installation, worker = installed
    await redis.pair.watch()
    async with Flow(installation, partitions=2) as flow:
        await flow.runs()
        fault = time.monotonic()
        redis.pair.freeze()
        first = await _first(installation, flow, fault)
        await redis.pair.promoted()
        redis.front.target = redis.pair.leader()
        redis.pair.thaw()
        await redis.pair.demoted()
        await flow.runs(50)
        await _is_used_again(installation, worker, "over")
        await flow.recovery(fault)
    await installation.observer.until_committed()
    report = await installation.check()
    done = "SIGSTOP of the primary, Sentinel promotes the replica and the address follows it"
    table.note(Fault("redis", "failed over", done, report.events, 0, report.duplicates, first))


@pytest.mark.long
async def test_labels_take_no_longer_with_redis_hung_or_slow_than_without(
    installed: tuple[Installation, Worker], redis: Redis
) -> None:
    """Rounds take turns in one run, so that a busy machine slows all alike."""
    installation, _ = installed
    took: dict[str, list[float]] = {"whole": [], "late": [], "hung": [], "gone": []}
    for turn in range(3):
        took["whole"].append(await _round(installation, f"w{turn}"))
        await redis.slow(0.2)
        await _round(installation, f"x{turn}")  # finds out
        took["late"].append(await _round(installation, f"l{turn}"))
        await redis.slow(0.0)
        redis.pair.freeze()
        await _round(installation, f"y{turn}")
        took["hung"].append(await _round(installation, f"h{turn}"))
        redis.pair.thaw()
        await redis.front.turn(1)
        await _round(installation, f"z{turn}")
        took["gone"].append(await _round(installation, f"g{turn}"))
        await redis.front.turn(redis.pair.primary.port)
    medians = {name: statistics.median(each) for name, each in took.items()}
    print("seconds for 30 uploads one after another:", {name: round(each, 3) for name, each in medians.items()})
    await installation.observer.until_committed()
    await installation.check()
    best = {name: min(each) for name, each in took.items()}
    assert best["hung"] < 2.0 * best["gone"], took
    assert best["late"] < 2.0 * best["gone"], took  # intake alone would wait 30 times 0.2 s


async def _first(installation: Installation, flow: Flow, fault: float) -> float:
    """Seconds from the fault until uploads sent after it are answered on every partition."""
    await installation.observer.until(lambda _: flow._partitions_answered(fault), what="answers after the fault")
    return time.monotonic() - fault


async def _round(installation: Installation, name: str, events: int = 30) -> float:
    """Seconds from the first of some uploads to the last verdict."""
    began, before = time.monotonic(), installation.observer.seen.ended()
    await _uploads(installation, name, events)
    await installation.observer.until(lambda seen: seen.ended() >= before + events)
    return time.monotonic() - began


async def _uploads(installation: Installation, name: str, count: int) -> None:
    for number in range(count):
        await installation.upload(f"{name}{number}".replace(" ", ""), f"{'hello' if number % 2 else 'hateword'} {name} {number}")


async def _is_used_again(installation: Installation, worker: Worker, text: str) -> None:
    """Upload until the worker says that it has Redis: it looks only when it needs it."""
    async with asyncio.timeout(60):
        for number in range(1000):
            name = f"{text.replace(' ', '')}-{number}"
            await installation.upload(name, f"hateword {name}")
            await installation.observer.until(lambda seen, n=name: seen.verdicts_of(n))
            if await metric(worker, "omniguard_redis_state", state="available"):
                return
