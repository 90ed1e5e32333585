"""One suite for every Publisher: the twin and the genuine Kafka; then what only a real broker can do to one."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from omniguard.adapters.kafka_publisher import KafkaPublisher
from omniguard.adapters.memory_publisher import MemoryPublisher
from omniguard.devstack import Stack
from omniguard.errors import Misconfigured
from omniguard.observability import Metrics
from omniguard.ports import Message
from omniguard.settings import KafkaSettings

PARTITIONS = 3
Read = Callable[[str, int], Awaitable[list[Message]]]


@dataclass(frozen=True, slots=True)
class Broker:
    """A publisher with one topic that exists, and a way to read back `count` records, in order per partition."""

    publisher: MemoryPublisher | KafkaPublisher
    topic: str
    read: Read


async def create(bootstrap: str, topic: str, **options: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1, topic_configs=options)])
    finally:
        await admin.close()


async def read_back(bootstrap: str, topic: str, count: int, seconds: float = 60.0) -> list[Message]:
    """At least `count` records, and whatever else is there."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    found: list[Message] = []
    try:
        parts = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        consumer.assign(parts)
        async with asyncio.timeout(seconds):
            ends = await consumer.end_offsets(parts)
            while len(found) < max(count, sum(ends.values())):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [Message(topic, r.key, r.value, dict(r.headers)) for r in records]
                ends = await consumer.end_offsets(parts)
    finally:
        await consumer.stop()
    return found


def publisher_to(bootstrap: str, metrics: Metrics | None = None, **options: Any) -> KafkaPublisher:
    settings = KafkaSettings(bootstrap=bootstrap, unknown_topic_seconds=1.0)
    return KafkaPublisher(settings, watch=0.2, metrics=metrics or Metrics(), **options)


@pytest.fixture(params=["twin", pytest.param("kafka", marks=pytest.mark.stack)])
async def broker(request: pytest.FixtureRequest, topic_prefix: str) -> AsyncIterator[Broker]:
    topic = f"{topic_prefix}verdicts"
    if request.param == "twin":
        twin = MemoryPublisher(frozenset({topic}))

        async def recall(name: str, count: int) -> list[Message]:
            return list(twin.records(name))

        yield Broker(twin, topic, recall)
        return
    address = request.getfixturevalue("kafka_url")
    await create(address, topic)
    real = publisher_to(address)

    async def read(name: str, count: int) -> list[Message]:
        return await read_back(address, name, count)

    await real.start()
    yield Broker(real, topic, read)
    await real.stop()


async def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  the broker is another process
            await asyncio.sleep(0.02)


# What every publisher keeps.


async def test_a_record_arrives_as_it_was(broker: Broker) -> None:
    sent = Message(
        broker.topic, b"acme|post-17", b'{"a":1}', {"ce_id": b"v-1", "traceparent": b"00-ab", "empty": b"", "bin": b"\x00\xff"}
    )
    await broker.publisher.publish(sent)
    await broker.publisher.publish(Message(broker.topic, b"k", None))
    assert sorted(await broker.read(broker.topic, 2), key=lambda m: m.key or b"") == [sent, Message(broker.topic, b"k", None)]


async def test_records_of_a_key_keep_their_order(broker: Broker) -> None:
    keys = [f"acme|post-{k}".encode() for k in range(7)]
    for n in range(20):
        await asyncio.gather(*(broker.publisher.publish(Message(broker.topic, key, str(n).encode())) for key in keys))
    together = [Message(broker.topic, keys[0], f"{n}".encode()) for n in range(20, 120)]
    await asyncio.gather(*map(broker.publisher.publish, together))
    found = await broker.read(broker.topic, 240)
    assert len(found) == 240
    for key in keys:
        values = [int(m.value or b"") for m in found if m.key == key]
        assert values == list(range(len(values)))


async def test_an_unknown_topic_is_refused_by_name(broker: Broker) -> None:
    with pytest.raises(Misconfigured, match=f"topic {broker.topic}x: found unknown.*omniguard topics apply"):
        await broker.publisher.publish(Message(f"{broker.topic}x", b"k", b"v"))
    await broker.publisher.publish(Message(broker.topic, b"k", b"v"))
    assert len(await broker.read(broker.topic, 1)) == 1


async def test_a_record_too_large_is_refused_and_the_next_one_goes_on(broker: Broker) -> None:
    with pytest.raises(Misconfigured, match=broker.topic):
        await broker.publisher.publish(Message(broker.topic, b"k", bytes(2_000_000)))
    await broker.publisher.publish(Message(broker.topic, b"k", b"v"))
    assert [m.value for m in await broker.read(broker.topic, 1)] == [b"v"]


async def test_available_while_started(broker: Broker) -> None:
    assert broker.publisher.available


async def test_the_twin_waits_while_suspended() -> None:
    twin = MemoryPublisher()
    twin.suspend()
    waiting = asyncio.create_task(twin.publish(Message("t", b"k", b"v")))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert not twin.available
    twin.resume()
    await waiting
    assert len(twin.records("t")) == 1


# What only a broker can do.


@pytest.mark.stack
async def test_neither_key_nor_value_is_a_bug(kafka_url: str) -> None:
    with pytest.raises(ValueError, match="neither key nor value"):
        await publisher_to(kafka_url).publish(Message("t", None, None))


@pytest.mark.stack
async def test_a_record_larger_than_the_topic_takes_costs_nobody_else(kafka_url: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}small"
    await create(kafka_url, topic, **{"max.message.bytes": "20000"})
    metrics = Metrics()
    publisher = publisher_to(kafka_url, metrics)
    await publisher.start()
    large = os.urandom(400_000)  # does not shrink under compression
    outcomes = await asyncio.gather(
        *(publisher.publish(Message(topic, b"k", large if n == 5 else str(n).encode())) for n in range(10)),
        return_exceptions=True,
    )
    refused = [n for n, outcome in enumerate(outcomes) if outcome is not None]
    assert refused == [5]
    assert isinstance(outcomes[5], Misconfigured)
    assert "max.message.bytes" in str(outcomes[5])
    found = await read_back(kafka_url, topic, 9)
    assert {m.value for m in found} == {str(n).encode() for n in range(10) if n != 5}
    await publisher.stop()


@pytest.mark.stack
async def test_a_producer_that_lost_its_sequence_is_replaced(kafka_url: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}verdicts"
    await create(kafka_url, topic)
    metrics = Metrics()
    publisher = publisher_to(kafka_url, metrics)
    await publisher.start()
    await publisher.publish(Message(topic, b"k", b"0"))
    manager = publisher._producer._txn_manager
    for partition in range(PARTITIONS):
        manager.increment_sequence_number(TopicPartition(topic, partition), 1000)
    await asyncio.gather(*(publisher.publish(Message(topic, b"k", str(n).encode())) for n in range(1, 6)))
    assert metrics.value("omniguard_publisher_replaced_total") == 1
    found = await read_back(kafka_url, topic, 6)
    assert [m.value for m in found] == [str(n).encode() for n in range(6)]
    await publisher.stop()


@pytest.mark.stack
@pytest.mark.slow
async def test_a_broker_that_hangs_and_one_that_is_killed_lose_nothing(
    own_stack: Callable[..., Stack], topic_prefix: str
) -> None:
    """Eight writers, one key each, publish all the time; every acknowledged record is there, first copies in order."""
    stack = own_stack(parts=("kafka",))
    urls = await asyncio.to_thread(stack.up)
    topic = f"{topic_prefix}verdicts"
    await create(urls.kafka, topic)
    metrics = Metrics()
    publisher = publisher_to(urls.kafka, metrics, request_timeout=2.0, stall=2.0)
    await publisher.start()
    acknowledged: dict[bytes, list[int]] = {f"key-{k}".encode(): [] for k in range(8)}
    enough = asyncio.Event()

    async def keep_publishing(key: bytes) -> None:
        while not enough.is_set():
            number = len(acknowledged[key])
            await publisher.publish(Message(topic, key, str(number).encode()))
            acknowledged[key].append(number)

    def total() -> int:
        return sum(map(len, acknowledged.values()))

    async def some_more() -> None:
        enough_for_now = total() + 200
        await until(lambda: total() > enough_for_now)

    writers = [asyncio.create_task(keep_publishing(key)) for key in acknowledged]
    await some_more()
    await asyncio.to_thread(stack.kill, "kafka", signal.SIGSTOP)
    await until(lambda: metrics.value("omniguard_publisher_replaced_total") > 0)
    assert not publisher.available
    await asyncio.to_thread(stack.kill, "kafka", signal.SIGCONT)
    await some_more()
    await asyncio.to_thread(stack.kill, "kafka", signal.SIGKILL)
    await until(lambda: not publisher.available)
    await asyncio.to_thread(stack.start, "kafka")
    await some_more()
    enough.set()
    await asyncio.gather(*writers)
    assert publisher.available
    found = await read_back(urls.kafka, topic, total())
    for key, numbers in acknowledged.items():
        firsts = list(dict.fromkeys(int(m.value or b"") for m in found if m.key == key))
        assert firsts == numbers, "a record that was acknowledged is missing, or the first copies are out of order"
    await publisher.stop()


@pytest.mark.stack
@pytest.mark.slow
async def test_start_waits_for_the_broker_and_stop_does_not(own_stack: Callable[..., Stack], topic_prefix: str) -> None:
    stack = own_stack(parts=("kafka",))
    urls = await asyncio.to_thread(stack.up)
    topic = f"{topic_prefix}verdicts"
    await create(urls.kafka, topic)
    await asyncio.to_thread(stack.kill, "kafka")
    publisher = publisher_to(urls.kafka, stall=1.0)
    starting = asyncio.create_task(publisher.start())
    done, _ = await asyncio.wait([starting], timeout=1.0)
    assert not done
    assert not publisher.available
    await asyncio.to_thread(stack.start, "kafka")
    await starting
    await publisher.publish(Message(topic, b"k", b"v"))
    await asyncio.to_thread(stack.kill, "kafka")
    pending = asyncio.create_task(publisher.publish(Message(topic, b"k", b"lost")))
    await until(lambda: not publisher.available)
    async with asyncio.timeout(30):
        await publisher.stop(limit=0.5)
        with pytest.raises(RuntimeError, match="stop"):
            await pending


@pytest.mark.stack
async def test_a_cancelled_start_leaves_nothing_behind(topic_prefix: str) -> None:
    publisher = publisher_to("127.0.0.1:9")
    starting = asyncio.create_task(publisher.start())
    await asyncio.wait([starting], timeout=0.3)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await publisher.stop()
    names = {task.get_name() for task in asyncio.all_tasks()} - {asyncio.current_task().get_name()}  # type: ignore[union-attr]
    assert names == set()
