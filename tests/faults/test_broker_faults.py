"""One of three brokers is lost, hangs, is cut off or leads no longer, under a steady flow of uploads and two workers.

Two brokers of three suffice, so recovery is measured while the fault lasts. `make faults` runs all of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cluster import Cluster
from faults import table
from faults.flow import Flow
from faults.harness import Installation
from faults.nursery import Nursery
from faults.table import Fault
from omniguard.domain.lane import Lane

pytestmark = [pytest.mark.stack, pytest.mark.long]

PARTITIONS = 6
SESSION = {"kafka__session_timeout": "10"}


@pytest.fixture
async def on_three(
    nursery: Nursery, cluster: Cluster, topic_prefix: str, tmp_path: Path, seed: int
) -> AsyncIterator[Installation]:
    """An installation on three brokers, with two workers."""
    print(f"seed {seed}")
    await asyncio.to_thread(cluster.mend)
    async with Installation(nursery, cluster.bootstrap, topic_prefix, tmp_path, seed=seed) as made:
        await made.create(partitions=PARTITIONS)
        await cluster.whole()
        await made.start(**SESSION)
        await made.start(**SESSION)
        yield made
        await asyncio.to_thread(cluster.mend)


async def _leader(cluster: Cluster, installation: Installation) -> int:
    """Of a partition of the live lane, drawn by the seed."""
    return await cluster.leader(installation.topics.content(Lane.LIVE), installation.random.randrange(PARTITIONS))


async def _coordinator(cluster: Cluster, installation: Installation) -> int:
    return await cluster.coordinator(installation.topics.group(Lane.LIVE))


FAULTS = {
    "stopped": (_leader, Cluster.stop, "SIGTERM to a broker that leads partitions of the live lane"),
    "killed": (_leader, Cluster.kill, "kill -9 of a broker that leads partitions of the live lane"),
    "hung": (_leader, Cluster.freeze, "SIGSTOP of a broker that leads partitions of the live lane"),
    "cut off": (_leader, lambda cluster, node: cluster.links.cut(node), "such a broker hears nobody and is heard by nobody"),
    "coordinator killed": (_coordinator, Cluster.kill, "kill -9 of the broker that leads the workers' group"),
    "coordinator hung": (_coordinator, Cluster.freeze, "SIGSTOP of the broker that leads the workers' group"),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_broker_is_lost_and_comes_back(name: str, on_three: Installation, cluster: Cluster) -> None:
    find, hurt, done = FAULTS[name]
    async with Flow(on_three, partitions=PARTITIONS) as flow:
        await flow.runs()
        node = await find(cluster, on_three)
        fault = time.monotonic()
        await asyncio.to_thread(hurt, cluster, node)
        recovery = await flow.recovery(fault)
    await asyncio.to_thread(cluster.mend)
    await cluster.whole()
    await on_three.upload("after", "hateword")
    await on_three.all_ended(flow.uploads + 1)
    report = await on_three.check()
    assert len(on_three.observer.seen.lanes[Lane.LIVE]) == flow.uploads + 1  # what came too late is on the late lane as well
    table.note(Fault("kafka", name, done, report.events, 0, report.duplicates, recovery.first, recovery.rest))


async def test_the_leader_of_a_partition_is_moved(on_three: Installation, cluster: Cluster) -> None:
    """By an operator who gives the partition another preferred leader, for each partition of the live lane in turn."""
    topic = on_three.topics.content(Lane.LIVE)
    async with Flow(on_three, partitions=PARTITIONS) as flow:
        await flow.runs()
        fault = time.monotonic()
        for partition in range(PARTITIONS):
            before, after = await cluster.move_leader(topic, partition)
            assert before != after
        recovery = await flow.recovery(fault)
    report = await on_three.check()
    assert len(on_three.observer.seen.lanes[Lane.LIVE]) == flow.uploads
    done = "preferred leader election of every partition of the live lane"
    table.note(Fault("kafka", "leader moved", done, report.events, 0, report.duplicates, recovery.first, recovery.rest))


async def test_the_leader_that_acknowledged_a_verdict_is_killed_at_once(on_three: Installation, cluster: Cluster) -> None:
    """What it acknowledged, the others have: no verdict is written again, and none is missing."""
    async with Flow(on_three, partitions=PARTITIONS) as flow:
        await flow.runs()
        partition = await on_three.upload("kept", "hateword kept")  # one key, one partition number: of both topics
        await on_three.observer.until(lambda seen: seen.verdicts_of("kept"))
        fault = time.monotonic()
        await asyncio.to_thread(cluster.kill, await cluster.leader(on_three.topics.verdicts, partition))
        recovery = await flow.recovery(fault)
    await on_three.all_ended(flow.uploads + 1)
    anew = await on_three.read_anew()
    assert anew.verdicts_of("kept")
    report = await on_three.check()
    assert len(anew.verdicts) == len(on_three.observer.seen.verdicts)
    await asyncio.to_thread(cluster.mend)
    await cluster.whole()
    done = "kill -9 of the broker that had just acknowledged a verdict"
    table.note(
        Fault("kafka", "verdict's leader killed", done, report.events, 0, report.duplicates, recovery.first, recovery.rest)
    )
