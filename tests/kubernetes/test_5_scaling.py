"""Workers follow the lag by KEDA, out and in again, and are not misled by one heavy upload."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer

from faults.observer import Observer
from kubernetes.conftest import Service
from kubernetes.kube import until
from kubernetes.table import Step, note
from kubernetes.uploads import PATIENCE, send
from omniguard.contracts.topics import Topics
from omniguard.domain.lane import Lane
from omniguard.domain.record import Partition

TOPIC = Topics().content(Lane.LIVE)
PARTITIONS = 12
WINDOW = 4
THRESHOLD = 4 * WINDOW
MOST = 3
LOOK_SECONDS = 3
MINUTES = 600.0


@pytest.fixture(scope="module")
def scaled(service: Service) -> Service:
    """The live lane under KEDA, from one pod to three, with looks that do not take minutes."""
    autoscaling = {
        "enabled": True,
        "minReplicas": 1,
        "maxReplicas": MOST,
        "pollingInterval": LOOK_SECONDS,
        "scaleUpStabilization": 0,
        "scaleDownStabilization": 15,
    }
    service.upgrade(
        workers__live__autoscaling=autoscaling,
        workers__live__windowEvents=WINDOW,
        settings__worker__live_seconds=MINUTES,
        triton__replicas=2,
    )
    service.kube.kubectl("wait", "--for=condition=Ready", "scaledobject", "--all", "--timeout=60s")
    until(lambda: service.kube.replicas("worker-live") == 1, PATIENCE, "the idle lane goes down to one pod")
    until(lambda: len(service.kube.pods("worker-live")) == 1, PATIENCE, "one pod is left")
    return service


async def test_one_heavy_event_on_one_partition_scales_nothing(scaled: Service) -> None:
    """What waits behind it on its partition waits for the same worker, however many others there are."""
    text = " ".join(f"On day {day} we walked along the river and counted {day * 7 % 100} birds." for day in range(3000))
    highest, most = 0, 0
    async with _topics(scaled) as (producer, observer):
        began = time.monotonic()
        await send(producer, "heavy", text[:160_000], partition=0, deadline=MINUTES)
        for number in range(3 * THRESHOLD):
            await send(producer, f"behind-{number}", f"a short remark, number {number}", partition=0, deadline=MINUTES)
        while not (await observer.read()).verdicts_of("heavy"):
            assert time.monotonic() - began < MINUTES, "the heavy event did not end"
            highest = max(highest, await _lag(observer))
            most = max(most, await asyncio.to_thread(scaled.kube.replicas, "worker-live"))
            await asyncio.sleep(1.0)
        took = time.monotonic() - began
        await observer.until_committed(PATIENCE)
    assert took > 3 * LOOK_SECONDS, f"the event took {took:.1f} s, too short for KEDA to look: make it heavier"
    assert highest > THRESHOLD, f"at most {highest} records of lag, expected more than {THRESHOLD}: nothing was proven"
    assert most == 1, f"{most} pods were asked for"
    note(Step("heavy event", f"one text of 160 kB, {highest} records behind it on its partition: no pod more", took))


async def test_workers_follow_the_lag_out_and_in(scaled: Service) -> None:
    async with _topics(scaled) as (producer, observer):
        began = time.monotonic()
        sending = [
            send(producer, f"lag-{n}", f"Tell me about the bakery on street {n}.", partition=n % PARTITIONS, deadline=MINUTES)
            for n in range(1200)
        ]
        await asyncio.gather(*sending)
        ready = lambda: scaled.kube.ready("worker-live") == MOST  # noqa: E731
        out = await asyncio.to_thread(until, ready, PATIENCE, f"{MOST} workers for the lag")
        await observer.until(
            lambda seen: len({v.content_id for v in seen.verdicts if v.content_id.startswith("lag-")}) == 1200, PATIENCE
        )
        await observer.until_committed(PATIENCE)
        judged = time.monotonic() - began
    idle = time.monotonic()
    until(lambda: scaled.kube.replicas("worker-live") == 1, PATIENCE, "one worker once there is no lag")
    note(
        Step(
            "scaled out",
            f"1,200 uploads at once: 1 → {MOST} ready workers by KEDA; all judged after {judged:.0f} s",
            out,
            events=1200,
        )
    )
    note(Step("scaled in", f"{MOST} → 1 after a lag of zero, with 15 s of stabilisation", time.monotonic() - idle))


@asynccontextmanager
async def _topics(service: Service) -> AsyncIterator[tuple[AIOKafkaProducer, Observer]]:
    kafka = service.servers.kafka
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer, Observer(kafka, Topics()) as observer:
        yield producer, observer


async def _lag(observer: Observer) -> int:
    """Records behind on partition 0."""
    partition = Partition(TOPIC, 0)
    committed = (await observer.committed()).get(partition, 0)
    return sum(record.partition == partition and record.offset >= committed for record in observer.seen.lanes[Lane.LIVE])
