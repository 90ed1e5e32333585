"""A lane that would dead-letter the world stops instead: alive, not ready, and with the rest still on its topic."""

from __future__ import annotations

import asyncio
import signal
import urllib.request

import pytest

from faults.harness import DRAIN_SECONDS, Installation
from omniguard.domain.lane import Lane
from omniguard.domain.record import Partition

pytestmark = [pytest.mark.stack, pytest.mark.long]

BAD = 40


async def test_the_worker_stops_and_the_rest_is_judged_once_the_cause_is_mended(installation: Installation) -> None:
    await installation.create(partitions=1)
    worker = await installation.start(worker__dead_letter_run="5", worker__window_events="4")
    await installation.upload("before", "hello")
    await installation.observer.until(lambda seen: seen.ended() == 1)
    for number in range(BAD):
        await installation.raw(f"acme|bad{number}".encode(), b"a new form that this release cannot read")
    await installation.upload("behind", "hello")
    seen = await installation.observer.until(lambda seen: len(seen.dead_letters) == 5)
    lane = Partition(installation.topics.content(Lane.LIVE), 0)
    async with asyncio.timeout(30):
        while (await installation.observer.committed()).get(lane) != 6:  # noqa: ASYNC110  "before", five letters
            await asyncio.sleep(0.1)
    assert await worker.get("readyz") == 503
    assert await worker.get("healthz") == 200, "a restart would only write as many again"
    metrics = await asyncio.to_thread(_metrics, worker.port)
    assert "omniguard_dead_letter_limit_reached 1.0" in metrics
    assert "the dead-letter limit is reached" in worker.tail()
    began = asyncio.get_running_loop().time()
    worker.signal(signal.SIGTERM)
    assert await worker.gone() == 0
    assert asyncio.get_running_loop().time() - began < 10 * DRAIN_SECONDS
    await installation.check_killed()
    assert len((await installation.observer.read()).dead_letters) == 5

    await installation.start(worker__dead_letter_run="0", worker__dead_letter_ratio="1")
    await installation.observer.until(lambda seen: seen.ended() == 2 and len(seen.dead_letters) == BAD)
    await installation.observer.until_committed()
    await installation.check()
    assert {v.content_id for v in seen.verdicts} == {"before", "behind"}
    assert len(seen.dead_letters) == BAD


def _metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        return str(page.read().decode())
