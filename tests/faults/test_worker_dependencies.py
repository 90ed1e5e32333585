"""Redis, Triton and Kafka stopped, killed and started again midway; critiques that never come."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from faults.harness import Installation, Worker
from faults.nursery import Nursery
from omniguard.devstack import Stack
from omniguard.domain.lane import Lane

pytestmark = pytest.mark.stack

SCRIPTED = Path(__file__).parents[1] / "contract" / "scripted_guard"
MODERATE = "tenants: {acme: {policy: lite-demo, policy_epoch: 1}}\n"
PHRASE = "OMNIGUARD-STANDARD-TEST-PHRASE"


@pytest.fixture
def own_part(own_stack: Callable[..., Stack]) -> Callable[..., Stack]:
    """Starts one part of its own."""

    def make(part: str, **options: object) -> Stack:
        stack = own_stack(parts=(part,), **options)
        stack.up()
        return stack

    return make


@pytest.mark.long
async def test_redis_is_stopped_killed_and_started_midway(
    nursery: Nursery, kafka_url: str, own_part: Callable[..., Stack], topic_prefix: str, tmp_path: Path, seed: int
) -> None:
    """Without it nothing is kept, and nothing else changes; attempts are counted on."""
    redis = await asyncio.to_thread(own_part, "redis")
    async with Installation(
        nursery, kafka_url, topic_prefix, tmp_path / "i", seed=seed, redis=redis.urls().redis
    ) as installation:
        await installation.create(partitions=2)
        worker = await installation.start()
        await _uploads(installation, "before", 10)
        await installation.upload("held", "hold:held hateword")
        await installation.until_started("held")
        await asyncio.to_thread(redis.kill, "redis", signal.SIGSTOP)
        await _uploads(installation, "frozen", 10)
        await installation.observer.until(lambda seen: seen.ended() == 20)
        await asyncio.to_thread(redis.kill, "redis")
        await _uploads(installation, "without", 10)
        await installation.observer.until(lambda seen: seen.ended() == 30)
        await worker.kill()
        await installation.check_killed()
        worker = await installation.start()
        await asyncio.to_thread(redis.start, "redis")
        installation.go("held")
        await _uploads(installation, "after", 10)
        await installation.all_ended(41)
        assert await worker.get("readyz") == 200
        await installation.check()


async def test_triton_is_killed_and_started_midway(
    nursery: Nursery, kafka_url: str, own_part: Callable[..., Stack], topic_prefix: str, tmp_path: Path, seed: int
) -> None:
    """What it cannot answer in time is indeterminate and goes to the late lane, which brings the final once Triton is back."""
    options = {"model_repository": SCRIPTED, "triton_env": {"OMNIGUARD_SCRIPT_NOTES": str(tmp_path)}}
    triton = await asyncio.to_thread(lambda: own_part("triton", **options))
    settings = {"triton__addresses": triton.urls().triton, "worker__live_seconds": "4", "triton__patience": "2"}
    async with Installation(nursery, kafka_url, topic_prefix, tmp_path / "i", seed=seed, tenants=MODERATE) as installation:
        await installation.create(partitions=2)
        live, late = await installation.start(**settings), await installation.start(Lane.LATE, **settings)
        await _uploads(installation, "before", 10, harmful=PHRASE)
        await installation.all_ended(10)
        await asyncio.to_thread(triton.kill, "triton")
        await _uploads(installation, "without", 10, harmful=PHRASE)
        await installation.observer.until(lambda seen: len(seen.lanes[Lane.LATE]) == 10, what="deferrals")
        assert await live.get("healthz") == 200
        await asyncio.to_thread(triton.start, "triton")
        await _uploads(installation, "after", 10, harmful=PHRASE)
        await installation.observer.until(lambda seen: len({v.key for v in seen.verdicts if v.status == "final"}) == 30)
        await installation.observer.until_committed(lanes=(Lane.LIVE, Lane.LATE))
        report = await installation.check()
        assert report.events == 40
        assert live.alive
        assert late.alive


@pytest.fixture
async def own_kafka(
    nursery: Nursery, own_part: Callable[..., Stack], topic_prefix: str, tmp_path: Path, seed: int
) -> AsyncIterator[tuple[Installation, Stack]]:
    """An installation on a broker that may be hurt."""
    kafka = await asyncio.to_thread(own_part, "kafka")
    async with Installation(nursery, kafka.urls().kafka, topic_prefix, tmp_path / "i", seed=seed) as installation:
        await installation.create(partitions=2)
        yield installation, kafka
        await asyncio.to_thread(kafka.stop, "kafka", grace=1.0)


@pytest.mark.long
async def test_kafka_is_away_when_the_worker_starts(own_kafka: tuple[Installation, Stack]) -> None:
    """The process lives, says that it is not ready, and begins once there is a broker."""
    installation, kafka = own_kafka
    await _uploads(installation, "before", 10)
    await asyncio.to_thread(kafka.stop, "kafka")
    worker = await installation.start(wait=False)
    await _answers(worker, "healthz", 200)
    assert await worker.get("readyz") == 503
    await asyncio.to_thread(kafka.start, "kafka")
    await installation.consumes(worker)
    await installation.all_ended(10)
    await _answers(worker, "readyz", 200)
    await installation.check()


async def test_kafka_is_away_midway(own_kafka: tuple[Installation, Stack]) -> None:
    """The process lives on, says that it is not ready, and goes on where it was."""
    installation, kafka = own_kafka
    worker = await installation.start()
    await installation.upload("held", "hold:held hateword")
    await installation.until_started("held")
    await _uploads(installation, "midway", 10)
    await asyncio.to_thread(kafka.kill, "kafka")
    installation.go("held")
    await _answers(worker, "readyz", 503)
    assert await worker.get("healthz") == 200
    await asyncio.to_thread(kafka.start, "kafka")
    await installation.all_ended(11)
    await _answers(worker, "readyz", 200)
    await _uploads(installation, "after", 5)
    await installation.all_ended(16)
    assert worker.alive
    await installation.check()


@pytest.mark.long
async def test_sigterm_while_kafka_is_away(own_kafka: tuple[Installation, Stack]) -> None:
    """The stop is bounded all the same, before the first record and with one in flight."""
    installation, kafka = own_kafka
    worker = await installation.start()
    await installation.upload("held", "hold:held hateword")
    await installation.until_started("held")
    await asyncio.to_thread(kafka.kill, "kafka")
    waiting = await installation.start(wait=False)
    await _answers(waiting, "healthz", 200)
    installation.go("held")
    for each in (worker, waiting):
        each.signal(signal.SIGTERM)
    assert await waiting.gone() == 0, waiting.tail()
    assert await worker.gone() == 0, worker.tail()
    await asyncio.to_thread(kafka.start, "kafka")
    await installation.start()
    await installation.all_ended(1)
    await installation.check()


@pytest.mark.long
async def test_critiques_that_never_come_leave_labels_as_they_are(installation: Installation) -> None:
    """Batches with and without hanging critiques take turns in one worker, so that a busy machine slows both."""
    await installation.create(partitions=2)
    await installation.start(
        worker__critique_timeout="2", worker__critique_window="6", worker__critique_concurrency="2", worker__window_events="8"
    )
    hang = installation.control / "hang-critiques"
    took: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(4):
        hanging = turn % 2 == 1
        if hanging:
            hang.touch()
        took[hanging].append(await _batch(installation, turn, 24))
        await installation.observer.until_committed()  # offsets move, critiques or not
        hang.unlink(missing_ok=True)
    await installation.check()
    outcomes = {c.none for c in installation.observer.seen.critiques}
    assert outcomes == {None, "timeout", "shed"}
    ratio = min(took[True]) / min(took[False])
    print(f"labels take {ratio:.2f} times as long with critiques hung")
    assert ratio < 1.2, took


async def _batch(installation: Installation, turn: int, size: int) -> float:
    """Seconds from the first upload to the last verdict."""
    began, before = time.monotonic(), installation.observer.seen.ended()
    for number in range(size):
        await installation.upload(f"t{turn}-{number}", f"takes:1.0 hateword {turn} {number}")
    await installation.observer.until(lambda seen: seen.ended() == before + size)
    return time.monotonic() - began


async def _uploads(installation: Installation, name: str, count: int, harmful: str = "hateword") -> None:
    """No two alike, so that none is answered from the cache. The scripted model vouches for the test phrase alone."""
    for number in range(count):
        harmless = harmful == "hateword" and number % 2
        await installation.upload(f"{name}{number}", f"hello {name} {number}" if harmless else f"{harmful} {name} {number}")


async def _answers(worker: Worker, page: str, status: int, seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while await worker.get(page) != status:
            assert worker.alive, worker.tail()
            await asyncio.sleep(0.1)
