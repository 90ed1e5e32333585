"""What a poll brought and nobody took is read again, the very first records of a partition included."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from omniguard.adapters import kafka_rewind
from omniguard.adapters.faust_worker import Consuming, build_app, running
from omniguard.adapters.kafka_rewind import rewind_to_first_records
from omniguard.adapters.memory_assessments import MemoryAssessmentStore
from omniguard.adapters.start_offsets import ensure_start
from omniguard.contracts.topics import Topics
from omniguard.domain.lane import Lane
from omniguard.domain.record import Record
from omniguard.settings import KafkaSettings
from omniguard.stages.intake import Intake
from omniguard.stages.window import Slot, Window

pytestmark = pytest.mark.stack


@pytest.fixture
def as_it_was() -> Iterator[None]:
    before = AIOKafkaConsumer.seek_to_committed
    yield
    AIOKafkaConsumer.seek_to_committed = before


async def send(kafka_url: str, topic: str, *values: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka_url)
    await producer.start()
    for value in values:
        await producer.send_and_wait(topic, value, partition=0)
    await producer.stop()


@pytest.mark.parametrize("start", ["earliest", None], ids=["the first offset is committed", "nothing is committed"])
async def test_a_rewind_goes_back_to_the_first_record(kafka_url: str, topics: Topics, as_it_was: None, start: str | None) -> None:
    topic, group = topics.content(Lane.LIVE), f"{topics.prefix}g"
    if start:
        await ensure_start({"bootstrap_servers": kafka_url}, topic, group, start)
    await send(kafka_url, topic, b"0", b"1", b"2")
    rewind_to_first_records()
    consumer = AIOKafkaConsumer(
        group_id=group, bootstrap_servers=kafka_url, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        assert (await asyncio.wait_for(consumer.getone(), 30)).offset == 0
        await consumer.seek_to_committed()
        assert (await asyncio.wait_for(consumer.getone(), 30)).offset == 0
    finally:
        await consumer.stop()


async def stop_when_records_come(consumer: Any) -> asyncio.Event:
    """The flow stops as the next poll with records returns; the event tells that they were dropped, and the rewind done."""
    poll, rewind, stopped, polling = consumer._getmany, consumer.perform_seek, asyncio.Event(), asyncio.Event()

    async def poll_and_stop(**asked: Any) -> Any:
        polling.set()
        records = await poll(**asked)
        if records and consumer.flow_active:
            consumer.stop_flow()
            consumer._getmany = poll
        return records

    async def perform_seek() -> None:
        await rewind()
        stopped.set()

    consumer._getmany, consumer.perform_seek = poll_and_stop, perform_seek
    await asyncio.wait_for(polling.wait(), 30)
    return stopped


async def test_the_first_record_that_comes_while_partitions_are_moved_is_judged(
    kafka_url: str, topics: Topics, as_it_was: None, tmp_path: Path
) -> None:
    """Faust's flow stops as it does for a rebalance while a poll is under way, and it drops what that brings."""
    AIOKafkaConsumer.seek_to_committed = kafka_rewind._rewind
    topic, group = topics.content(Lane.LIVE), f"{topics.prefix}g"
    await ensure_start({"bootstrap_servers": kafka_url}, topic, group, "earliest")
    judged = asyncio.Event()

    async def judge(record: Record, slot: Slot) -> None:
        judged.set()

    window = Window(judge, max_events=8, max_bytes=1 << 20, max_open=8, progress=lambda: None)
    consuming = Consuming(topic, group, window=8, drain_timeout=1.0, state_folder=tmp_path)
    app = build_app(KafkaSettings(bootstrap=kafka_url), consuming, window, Intake(window, MemoryAssessmentStore()))
    async with running(app):
        while not (app.consuming and app.consumer.assignment()):  # noqa: ASYNC110  Faust tells nobody
            await asyncio.sleep(0.05)
        stopped = await stop_when_records_come(app.consumer)
        await send(kafka_url, topic, b"no event, but a record")
        await asyncio.wait_for(stopped.wait(), 30)
        assert not judged.is_set()
        app.consumer.resume_flow()
        await asyncio.wait_for(judged.wait(), 30)
