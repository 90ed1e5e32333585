"""A worker with a guard that costs nothing, fed by Faust or by a bare aiokafka consumer: what is left is our own cost.

Run as a process of its own, so that its CPU time is its own. Prints one line of JSON when it consumes.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from omniguard.adapters.faust_worker import Consuming, build_app, running
from omniguard.adapters.kafka_client import client_options
from omniguard.adapters.memory_guard import MemoryGuard
from omniguard.adapters.start_offsets import ensure_start
from omniguard.bootstrap import Service, service
from omniguard.domain.record import Partition, Record
from omniguard.observability import configure_logging
from omniguard.settings import Settings, load_settings

WORDS = {"harm": ("violent_crimes", 0.97)}


async def main(consumer: str) -> None:
    """Serve until SIGTERM."""
    settings = load_settings()
    configure_logging(level="WARNING")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with service(settings, guard=MemoryGuard(WORDS), progress=lambda: None) as built:
        await ensure_start(
            client_options(settings.kafka), built.topics.content(built.lane), built.topics.group(built.lane), "earliest"
        )
        feed = _faust if consumer == "faust" else _bare
        async with AsyncExitStack() as stack:
            await feed(settings, built, stack)
            print(orjson.dumps({"consumer": consumer}).decode(), flush=True)
            await stop.wait()


async def _faust(settings: Settings, built: Service, stack: AsyncExitStack) -> None:
    worker = settings.worker
    consuming = Consuming(
        built.topics.content(built.lane),
        built.topics.group(built.lane),
        worker.window_events,
        worker.drain_timeout,
        worker.state_folder,
    )
    await stack.enter_async_context(running(build_app(settings.kafka, consuming, built.window, built.intake)))


async def _bare(settings: Settings, built: Service, stack: AsyncExitStack) -> None:
    consumer = AIOKafkaConsumer(
        built.topics.content(built.lane),
        group_id=built.topics.group(built.lane),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **client_options(settings.kafka),
    )
    await consumer.start()
    stack.push_async_callback(consumer.stop)
    for work in (_take_all(consumer, built), _commit(consumer, built)):
        task = asyncio.create_task(work)
        stack.callback(task.cancel)


async def _take_all(consumer: AIOKafkaConsumer, built: Service) -> None:
    async for message in consumer:
        await built.intake.take(_record(message))


async def _commit(consumer: AIOKafkaConsumer, built: Service) -> None:
    while True:
        await asyncio.sleep(1.0)
        offsets = {TopicPartition(*partition): offset for partition, offset in built.window.take_committable().items()}
        if offsets:
            await consumer.commit(offsets)


def _record(message: Any) -> Record:
    return Record(
        partition=Partition(message.topic, message.partition),
        offset=message.offset,
        key=message.key,
        value=message.value,
        timestamp=datetime.fromtimestamp(message.timestamp / 1000, UTC),
        headers=dict(message.headers),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("consumer", choices=("faust", "bare"))
    uvloop.run(main(parser.parse_args().consumer))  # as the worker does
