"""Where a consumer group begins that has never committed: nowhere, unless the operator says so.

A first install would otherwise judge the whole topic, or skip what was uploaded before it was up; both cost more than asking.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest

from omniguard.adapters.kafka_again import ask_bootstrap_servers_again
from omniguard.errors import Misconfigured

_log = structlog.get_logger(__name__)

_PAUSE_SECONDS = 0.2


async def ensure_start(options: Mapping[str, Any], topic: str, group: str, start: str | None, *, patience: float = 0.0) -> None:
    """Commit first offsets for a group that has none on `topic`; partitions added later start at their beginning.

    A broker that is lost meanwhile is waited for: its partitions and groups are about to be led by another. Another worker of a
    new group that was faster has committed the first offsets, and they are found when asked again.

    Args:
        options: aiokafka's connection options.
        topic: the lane's topic.
        group: the lane's consumer group.
        start: `earliest`, `latest`, an ISO 8601 time with zone, or None.
        patience: seconds to wait for a topic that does not exist: an installation may create topics and start workers at once.

    Raises:
        Misconfigured: the topic does not exist; the group has no offsets and `start` is None or unreadable; a right is missing.

    """
    ask_bootstrap_servers_again()
    try:
        while True:
            try:
                return await _ensure_start(options, topic, group, start, patience)
            except (KafkaError, TimeoutError) as error:
                passes = isinstance(error, (TimeoutError, KafkaTimeoutError, CommitFailedError))
                if not passes and not error.retriable:  # type: ignore[union-attr]
                    raise
                _log.info("the start was not agreed with the broker; asking again", error_type=type(error).__name__)
                await asyncio.sleep(_PAUSE_SECONDS)
    except (GroupAuthorizationFailedError, TopicAuthorizationFailedError) as error:
        raise Misconfigured(
            f"consumer group {group}, topic {topic}: found {type(error).__name__} from the broker, expected the right to read: "
            "add what `omniguard topics acls` lists"
        ) from error


async def _ensure_start(options: Mapping[str, Any], topic: str, group: str, start: str | None, patience: float) -> None:
    consumer = AIOKafkaConsumer(group_id=group, enable_auto_commit=False, **options)
    try:
        await consumer.start()
        partitions = await _partitions(options, topic, patience)
        consumer.assign(partitions)
        committed = [await consumer.committed(p) for p in partitions]
        if any(offset is not None for offset in committed):
            await _ensure_read(options, group, partitions[0])
            return
        if start is None:
            raise Misconfigured(
                f"consumer group {group} has never committed on topic {topic}: start once with --from earliest (judge all "
                "that is kept), --from latest (only what comes from now on) or --from TIME (such as 2026-11-21T10:00:00Z)"
            )
        await consumer.commit(await _offsets(consumer, partitions, start))
    finally:
        await consumer.stop()


async def _ensure_read(options: Mapping[str, Any], group: str, partition: TopicPartition) -> None:
    """Raise where group or topic may be looked at but not be read: aiokafka would try for ever, and say nothing."""
    admin = AIOKafkaAdminClient(**options)
    try:
        await admin.start()
        coordinator = await admin.find_coordinator(group)
        # A heartbeat of nobody changes nothing, and needs the same right as joining.
        answer = await admin._send_request(HeartbeatRequest(group, -1, ""), coordinator)  # noqa: SLF001
        # So does a commit by a member that the group does not have; it is refused, and needs the right to read the topic.
        nobody = OffsetCommitRequest(group, 2**31 - 1, "nobody", -1, [(partition.topic, [(partition.partition, 0, "")])])
        refused = await admin._send_request(nobody, coordinator)  # noqa: SLF001
    finally:
        await admin.close()
    if answer.error_code == GroupAuthorizationFailedError.errno:
        raise GroupAuthorizationFailedError(group)
    if any(code == TopicAuthorizationFailedError.errno for _, codes in refused.topics for _, code in codes):
        raise TopicAuthorizationFailedError(partition.topic)


async def _partitions(options: Mapping[str, Any], topic: str, patience: float) -> list[TopicPartition]:
    until = asyncio.get_running_loop().time() + patience
    admin = AIOKafkaAdminClient(**options)
    try:
        await admin.start()
        while not (numbers := await _numbers(admin, topic)):
            if asyncio.get_running_loop().time() >= until:
                raise Misconfigured(f"topic {topic} does not exist: create it with `omniguard topics apply`")
            await asyncio.sleep(_PAUSE_SECONDS)
    finally:
        await admin.close()
    return [TopicPartition(topic, number) for number in numbers]


async def _numbers(admin: AIOKafkaAdminClient, topic: str) -> list[int]:
    (found,) = await admin.describe_topics([topic])
    if found["error_code"] == TopicAuthorizationFailedError.errno:
        raise TopicAuthorizationFailedError(topic)
    return sorted(partition["partition"] for partition in found["partitions"])


async def _offsets(consumer: AIOKafkaConsumer, partitions: list[TopicPartition], start: str) -> dict[TopicPartition, int]:
    if start == "earliest":
        return dict(await consumer.beginning_offsets(partitions))
    ends: dict[TopicPartition, int] = dict(await consumer.end_offsets(partitions))
    if start == "latest":
        return ends
    time = moment("--from", start, "earliest, latest or an ISO 8601 time")
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, int(time.timestamp() * 1000)))
    return {p: found[p].offset if found[p] is not None else ends[p] for p in partitions}


def moment(option: str, text: str, expected: str) -> datetime:
    """The time that a person gave to an option, with its zone.

    Raises:
        Misconfigured: it is no ISO 8601 time (`expected` says all that the option takes), or has no zone.

    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise Misconfigured(f"{option} {text}: expected {expected}") from None
    if time.tzinfo is None:
        raise Misconfigured(f"{option} {text}: the time has no zone; add one, such as Z")
    return time
