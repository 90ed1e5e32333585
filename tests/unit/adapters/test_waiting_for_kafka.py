"""A process that waits for a broker says so once, in our words and not in those of every try."""

from __future__ import annotations

import asyncio
import logging

import pytest
from structlog.testing import capture_logs

from omniguard.adapters.kafka_publisher import KafkaPublisher
from omniguard.observability import Metrics
from omniguard.settings import KafkaSettings


async def test_waiting_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    publisher = KafkaPublisher(KafkaSettings(bootstrap="127.0.0.1:1"), metrics=metrics)
    with capture_logs() as logs, caplog.at_level(logging.INFO):
        starting = asyncio.create_task(publisher.start())
        async with asyncio.timeout(30):
            while publisher._failures < 3:  # noqa: ASYNC110 - nothing to be woken by
                await asyncio.sleep(0.01)
        starting.cancel()
        await asyncio.wait([starting])
    await publisher.stop()
    told = [str(entry["exc_info"]) for entry in logs if entry["event"] == "waiting for a broker"]
    assert len(told) == 1
    assert "no Kafka answers at 127.0.0.1:1; expected a broker" in told[0]
    assert "Unable connect" not in caplog.text
