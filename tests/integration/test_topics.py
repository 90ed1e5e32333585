"""`omniguard topics` against a genuine broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import NodeNotReadyError
from typer.testing import CliRunner

from omniguard.adapters.topics_admin import Difference, NoBroker, TopicsAdmin
from omniguard.contracts.topics import DAY_MS, Topics
from omniguard.domain.lane import Lane
from omniguard.entrypoints.topics import topics_app

pytestmark = pytest.mark.stack
runner = CliRunner()


@pytest.fixture
async def admin(kafka_url: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka_url)
    await client.start()
    yield client
    await client.close()


async def create(admin: AIOKafkaAdminClient, topic: NewTopic) -> None:
    response = await admin.create_topics([topic])
    assert [code for _, code, _ in response.topic_errors] == [0]
    async with asyncio.timeout(20):  # the broker hears of it a little later than the controller
        while topic.name not in await admin.list_topics():  # noqa: ASYNC110  nothing to be woken by
            await asyncio.sleep(0.05)


async def config(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    (code, message, _, _, entries) = response.resources[0]
    assert code == 0, message
    return {entry[0]: entry[1] for entry in entries}


def invoke(*arguments: str) -> tuple[int, object]:
    result = runner.invoke(topics_app, [*arguments, "--json"])
    assert result.exit_code in (0, 1), result.output
    return result.exit_code, json.loads(result.stdout)


async def in_thread(*arguments: str) -> tuple[int, object]:
    """The command runs an event loop of its own."""
    return await asyncio.to_thread(invoke, *arguments)


def test_creates_what_is_missing_and_is_then_content(kafka_url: str, topic_prefix: str) -> None:
    options = ("--kafka", kafka_url, "--prefix", topic_prefix)
    code, differences = invoke("check", *options)
    assert code == 1
    assert [d["setting"] for d in differences] == ["topic"] * len(Topics(topic_prefix).all)
    code, outcome = invoke("apply", *options)
    assert code == 0
    assert [d["topic"] for d in outcome["mended"]] == [t.name for t in Topics(topic_prefix).all]
    assert invoke("check", *options) == (0, [])
    assert invoke("apply", *options) == (0, {"mended": [], "left": []})


async def test_raises_what_is_too_small_and_keeps_what_the_operator_set(
    kafka_url: str, topic_prefix: str, admin: AIOKafkaAdminClient
) -> None:
    topics = Topics(topic_prefix)
    small = {"retention.ms": "1000", "max.message.bytes": "2000", "segment.bytes": "2097152"}
    await create(admin, NewTopic(topics.verdicts, 2, 1, topic_configs=small))
    options = ("--kafka", kafka_url, "--prefix", topic_prefix)
    _, differences = await in_thread("check", *options)
    expected = {"partitions", "retention.ms", "segment.ms", "max.message.bytes", "message.timestamp.type"}
    assert {d["setting"] for d in differences if d["topic"] == topics.verdicts} == expected
    code, _ = await in_thread("apply", *options)
    assert code == 0
    found = await config(admin, topics.verdicts)
    assert found["retention.ms"] == str(30 * 24 * 3600 * 1000)
    assert found["message.timestamp.type"] == "LogAppendTime", "deadlines rest on the broker's clock"
    assert found["segment.bytes"] == "2097152"
    (described,) = await admin.describe_topics([topics.verdicts])
    assert len(described["partitions"]) == 12


async def test_never_lowers(kafka_url: str, topic_prefix: str, admin: AIOKafkaAdminClient) -> None:
    topics = Topics(topic_prefix)
    large = {"retention.ms": "-1", "max.message.bytes": "4194304"}
    await create(admin, NewTopic(topics.content(Lane.LIVE), 24, 1, topic_configs=large))
    code, outcome = await in_thread("apply", "--kafka", kafka_url, "--prefix", topic_prefix)
    assert code == 1
    assert [(d["setting"], d["found"], d["expected"], d["mendable"]) for d in outcome["left"]] == [
        ("retention.ms", "-1", str(7 * DAY_MS), False)
    ], "user data kept for longer than declared is told, and the operator's to say"
    found = await config(admin, topics.content(Lane.LIVE))
    assert (found["retention.ms"], found["max.message.bytes"]) == ("-1", "4194304")
    (described,) = await admin.describe_topics([topics.content(Lane.LIVE)])
    assert len(described["partitions"]) == 24
    code, _ = await in_thread("apply", "--missing-only", "--kafka", kafka_url, "--prefix", topic_prefix)
    assert code == 0, "no reason for a worker not to start"


async def test_a_check_waits_for_topics_that_somebody_else_creates(kafka_url: str, topic_prefix: str) -> None:
    options = ("--missing-only", "--kafka", kafka_url, "--prefix", topic_prefix)
    assert (await in_thread("check", *options))[0] == 1
    waiting = asyncio.create_task(in_thread("check", "--wait", "60", *options))
    async with TopicsAdmin({"bootstrap_servers": kafka_url}) as other:
        await other.apply(Topics(topic_prefix).all)
    assert await waiting == (0, [])


async def test_several_at_once_leave_the_topics_as_declared(
    kafka_url: str, topic_prefix: str, admin: AIOKafkaAdminClient
) -> None:
    """Every worker's pod applies the topics before it starts."""
    topics = Topics(topic_prefix)
    await create(admin, NewTopic(topics.verdicts, 2, 1))

    async def apply() -> list[Difference]:
        async with TopicsAdmin({"bootstrap_servers": kafka_url}) as one:
            _, left = await one.apply(topics.all)
            return left

    assert await asyncio.gather(apply(), apply(), apply()) == [[], [], []]


async def test_records_go_when_their_time_is_over_though_others_come(
    kafka_url: str, topic_prefix: str, admin: AIOKafkaAdminClient
) -> None:
    """A broker deletes closed segments alone: without `segment.ms` a quiet topic would keep its first record for weeks."""
    topics = Topics(topic_prefix)
    ending = [t for t in topics.all if t.name in (topics.verdicts, topics.critiques, topics.dead_letters)]
    assert [t.configs["segment.ms"] for t in ending] == [str(DAY_MS)] * 3
    for topic in ending:
        short = {**topic.configs, "retention.ms": "3000", "segment.ms": "1000"}
        await create(admin, NewTopic(topic.name, 1, 1, topic_configs=short))
    partitions = [TopicPartition(t.name, 0) for t in ending]
    async with (
        AIOKafkaProducer(bootstrap_servers=kafka_url) as producer,
        AIOKafkaConsumer(bootstrap_servers=kafka_url) as consumer,
    ):
        first: dict[TopicPartition, int] = {}
        async with asyncio.timeout(60):
            while len(first) < 3 or min(first.values()) == 0:
                for partition in partitions:
                    await producer.send_and_wait(partition.topic, b"x", b"acme|1")
                await asyncio.sleep(0.2)
                first = await consumer.beginning_offsets(partitions)
        last = await consumer.end_offsets(partitions)
    assert all(last[p] > first[p] for p in partitions), "what is young stays"


async def test_leaves_a_compacted_topic_to_the_operator(kafka_url: str, topic_prefix: str, admin: AIOKafkaAdminClient) -> None:
    topics = Topics(topic_prefix)
    await create(admin, NewTopic(topics.verdicts, 12, 1, topic_configs={"cleanup.policy": "compact"}))
    code, outcome = await in_thread("apply", "--kafka", kafka_url, "--prefix", topic_prefix)
    assert code == 1
    assert [(d["topic"], d["setting"], d["mendable"]) for d in outcome["left"]] == [(topics.verdicts, "cleanup.policy", False)]
    assert (await config(admin, topics.verdicts))["cleanup.policy"] == "compact"


def test_says_when_no_broker_answers() -> None:
    result = runner.invoke(topics_app, ["check", "--kafka", "127.0.0.1:1"])
    assert result.exit_code == 2
    assert "no Kafka answers at 127.0.0.1:1" in result.stderr


def test_table_names_topic_setting_found_and_expected(kafka_url: str, topic_prefix: str) -> None:
    result = runner.invoke(topics_app, ["check", "--kafka", kafka_url, "--prefix", topic_prefix])
    assert result.exit_code == 1
    assert "what to do" in result.stdout
    assert "12 partitions" in result.stdout


async def test_a_broker_that_goes_under_a_question_may_come_back(kafka_url: str) -> None:
    """`--wait` then asks again; it was a traceback, and the pod's init container started anew."""
    with pytest.raises(NoBroker, match="found NodeNotReadyError of Kafka at"):
        async with TopicsAdmin({"bootstrap_servers": kafka_url}):
            raise NodeNotReadyError
