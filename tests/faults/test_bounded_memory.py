"""A guard that hangs while uploads keep coming: memory stays bounded, heartbeats go on, and the group does not stir.

FAULTS_BACKLOG is how many uploads of about 250 KiB stand on the topic.
"""

from __future__ import annotations

import asyncio
import os
import time

import psutil
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from faults.harness import SESSION_SECONDS, Installation, Worker
from omniguard.adapters.faust_worker import READ_AHEAD_BYTES
from omniguard.domain.lane import Lane

pytestmark = [pytest.mark.stack, pytest.mark.long]

BACKLOG = int(os.environ.get("FAULTS_BACKLOG", "400"))
SIZE = 250_000
EVENTS = 16
WINDOW_BYTES = 8 * 1024 * 1024
STALL_SECONDS = 3 * SESSION_SECONDS
COPIES = 3
"""What an event in the window holds: the record, its text, and the pieces of it that the guard is asked about."""
CONSTANT = 32 * 1024 * 1024
"""The broker's answers under way, one poll, the allocator's own; far below the backlog."""


async def test_a_backlog_before_a_hung_guard_is_left_on_the_broker(installation: Installation) -> None:
    await installation.create(partitions=4)
    worker = await installation.start(
        worker__window_events=str(EVENTS), worker__window_bytes=str(WINDOW_BYTES), worker__live_seconds="600"
    )
    await installation.upload("warm", "a remark")
    await installation.all_ended(1)
    process = psutil.Process(worker.pid)
    before = process.memory_info().rss
    member, drains = await _member(installation), _drains(worker)

    text = "hold:gate " + "remark " * (SIZE // 7)
    for i in range(0, BACKLOG, 20):
        await asyncio.gather(*(installation.upload(f"e{k}", text, partition=k % 4) for k in range(i, min(i + 20, BACKLOG))))
    await installation.until_started("gate")
    most = await _watch(process, STALL_SECONDS)

    grown, allowed = most - before, COPIES * (WINDOW_BYTES + SIZE) + READ_AHEAD_BYTES + CONSTANT
    print(f"{BACKLOG} uploads, {BACKLOG * SIZE / 2**20:.0f} MiB: memory grew by {grown / 2**20:.0f} MiB")
    assert grown <= allowed, f"memory grew by {grown / 2**20:.0f} MiB; expected at most {allowed / 2**20:.0f} MiB"
    assert await _member(installation) == member, "the worker left its group, or had to join it anew"
    assert _drains(worker) == drains, "a rebalance took the partitions away"


async def _watch(process: psutil.Process, seconds: float) -> int:
    """The most memory the process holds within so many seconds, by the operating system's count."""
    most, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        most = max(most, process.memory_info().rss)
        await asyncio.sleep(0.1)
    return most


def _drains(worker: Worker) -> int:
    return worker.log.read_text(errors="replace").count("drained the window")


async def _member(installation: Installation) -> tuple[str, tuple[str, ...]]:
    """State and members of the group, as the broker sees them: whoever was put out comes back under another name."""
    admin = AIOKafkaAdminClient(bootstrap_servers=installation.bootstrap)
    await admin.start()
    try:
        (response,) = await admin.describe_consumer_groups([installation.topics.group(Lane.LIVE)])
        ((_, _, state, _, _, members, *_),) = response.groups
        return state, tuple(m[0] for m in members)
    finally:
        await admin.close()
