"""A consumer without a group, for commands that look at a topic: how it is let in, and what it may read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError

from omniguard.adapters.kafka_client import client_options, refusal
from omniguard.errors import Misconfigured, OmniGuardError
from omniguard.settings import KafkaSettings

__all__ = ["BrokerAway", "partitions", "reader"]


class BrokerAway(OmniGuardError):
    """Nobody answers at the broker's address."""


@asynccontextmanager
async def reader(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer that commits nothing.

    Raises:
        BrokerAway: no broker answers.
        Misconfigured: the broker does not let us in.

    """
    consumer = AIOKafkaConsumer(auto_offset_reset="earliest", enable_auto_commit=False, **client_options(kafka))
    try:
        try:
            await consumer.start()
        except KafkaConnectionError as error:
            if found := await refusal(client_options(kafka)):
                raise Misconfigured(found.message) from error
            raise BrokerAway(
                f"found no broker at {kafka.bootstrap}; name yours by --kafka HOST:PORT, or start one: omniguard dev up"
            ) from error
        yield consumer
    finally:
        await consumer.stop()


async def partitions(kafka: KafkaSettings, names: Sequence[str], *, component: str = "operator") -> list[TopicPartition]:
    """Every partition of the named topics, for who connects with the rights of `component`.

    Raises:
        Misconfigured: a topic does not exist or may not be read.

    """
    admin = AIOKafkaAdminClient(**client_options(kafka))
    await admin.start()
    try:
        topics = await admin.describe_topics(list(names))
    finally:
        await admin.close()
    if closed := sorted(topic["topic"] for topic in topics if topic["error_code"] == TopicAuthorizationFailedError.errno):
        raise Misconfigured(
            f"found no right to read {', '.join(closed)}, expected it: add what `omniguard topics acls {component}` lists"
        )
    if missing := sorted(topic["topic"] for topic in topics if not topic["partitions"]):
        raise Misconfigured(f"found no topic {', '.join(missing)} at {kafka.bootstrap}, expected it: omniguard topics apply")
    return [TopicPartition(topic["topic"], each["partition"]) for topic in topics for each in topic["partitions"]]
