"""Where a group that never committed begins, on the genuine broker."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaTimeoutError, NodeNotReadyError

from omniguard.adapters.start_offsets import ensure_start
from omniguard.adapters.topics_admin import TopicsAdmin
from omniguard.contracts.topics import Topics
from omniguard.domain.lane import Lane
from omniguard.errors import Misconfigured

pytestmark = pytest.mark.stack


async def create(kafka_url: str, topics: Topics) -> None:
    async with TopicsAdmin({"bootstrap_servers": kafka_url}) as admin:
        await admin.apply(topics.all)


async def committed(kafka_url: str, topic: str, group: str, partition: int) -> int | None:
    consumer = AIOKafkaConsumer(group_id=group, bootstrap_servers=kafka_url, enable_auto_commit=False)
    await consumer.start()
    try:
        return await consumer.committed(TopicPartition(topic, partition))
    finally:
        await consumer.stop()


async def test_a_topic_that_is_made_meanwhile_is_waited_for(kafka_url: str, topic_prefix: str) -> None:
    topics = Topics(topic_prefix)
    topic = topics.content(Lane.LIVE)
    options = {"bootstrap_servers": kafka_url}
    starting = asyncio.create_task(ensure_start(options, topic, f"{topic_prefix}g", "earliest", patience=60))
    done, _ = await asyncio.wait({starting}, timeout=1)
    assert not done
    await create(kafka_url, topics)
    await asyncio.wait_for(starting, 60)
    assert await committed(kafka_url, topic, f"{topic_prefix}g", 0) == 0


async def test_without_patience_a_missing_topic_is_told_at_once(kafka_url: str, topic_prefix: str) -> None:
    with pytest.raises(Misconfigured, match="omniguard topics apply"):
        await ensure_start({"bootstrap_servers": kafka_url}, f"{topic_prefix}none", f"{topic_prefix}g", "earliest")


async def test_latest_skips_what_is_there_and_nothing_said_is_refused(kafka_url: str, topic_prefix: str) -> None:
    topics = Topics(topic_prefix)
    topic, options = topics.content(Lane.LIVE), {"bootstrap_servers": kafka_url}
    await create(kafka_url, topics)
    producer = AIOKafkaProducer(**options)
    await producer.start()
    await producer.send_and_wait(topic, b"x", partition=0)
    await producer.stop()
    with pytest.raises(Misconfigured, match="--from earliest"):
        await ensure_start(options, topic, f"{topic_prefix}g", None)
    await ensure_start(options, topic, f"{topic_prefix}g", "latest")
    assert await committed(kafka_url, topic, f"{topic_prefix}g", 0) == 1
    await ensure_start(options, topic, f"{topic_prefix}g", None)
    assert await committed(kafka_url, topic, f"{topic_prefix}g", 0) == 1


@pytest.mark.parametrize("lost", [NodeNotReadyError, KafkaTimeoutError, TimeoutError])
async def test_a_broker_that_is_lost_before_the_start_is_waited_for(
    kafka_url: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch, lost: type[Exception]
) -> None:
    """With three brokers the next question finds another; so far the worker ended."""
    topics = Topics(topic_prefix)
    await create(kafka_url, topics)
    topic, describe, asked = topics.content(Lane.LIVE), AIOKafkaAdminClient.describe_topics, []

    async def flaky(admin: AIOKafkaAdminClient, names: list[str]) -> object:
        asked.append(names)
        if len(asked) < 3:
            raise lost
        return await describe(admin, names)

    monkeypatch.setattr(AIOKafkaAdminClient, "describe_topics", flaky)
    await asyncio.wait_for(ensure_start({"bootstrap_servers": kafka_url}, topic, f"{topic_prefix}g", "earliest"), 60)
    assert await committed(kafka_url, topic, f"{topic_prefix}g", 0) == 0


async def test_workers_of_a_new_group_may_start_at_once(
    kafka_url: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The faster one has joined by the time the slower one commits; the broker refuses that, and the offsets are there."""
    topics = Topics(topic_prefix)
    await create(kafka_url, topics)
    topic, group, options = topics.content(Lane.LIVE), f"{topic_prefix}g", {"bootstrap_servers": kafka_url}
    await ensure_start(options, topic, group, "earliest")
    commit, answers = AIOKafkaConsumer.committed, [None] * 12

    async def nothing_yet(consumer: AIOKafkaConsumer, partition: TopicPartition) -> object:
        return answers.pop() if answers else await commit(consumer, partition)

    joined = AIOKafkaConsumer(topic, group_id=group, **options)
    await joined.start()
    try:
        monkeypatch.setattr(AIOKafkaConsumer, "committed", nothing_yet)
        await asyncio.wait_for(ensure_start(options, topic, group, "earliest"), 60)
        assert not answers
    finally:
        await joined.stop()
