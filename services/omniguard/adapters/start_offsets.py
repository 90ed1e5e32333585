"""Where a consumer group begins that has never committed: nowhere, unless the operator says so.

A first install would otherwise judge the whole topic, or skip what was uploaded before it was up; both cost more than asking.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from omniguard.errors import Misconfigured


async def ensure_start(options: Mapping[str, Any], topic: str, group: str, start: str | None) -> None:
    """Commit first offsets for a group that has none on `topic`; partitions added later start at their beginning.

    Args:
        options: aiokafka's connection options.
        topic: the lane's topic.
        group: the lane's consumer group.
        start: `earliest`, `latest`, an ISO 8601 time with zone, or None.

    Raises:
        Misconfigured: the topic does not exist; the group has no offsets and `start` is None or unreadable.

    """
    consumer = AIOKafkaConsumer(group_id=group, enable_auto_commit=False, **options)
    await consumer.start()
    try:
        partitions = await _partitions(options, topic)
        consumer.assign(partitions)
        committed = [await consumer.committed(p) for p in partitions]
        if any(offset is not None for offset in committed):
            return
        if start is None:
            raise Misconfigured(
                f"consumer group {group} has never committed on topic {topic}: start once with --from earliest (judge all "
                "that is kept), --from latest (only what comes from now on) or --from TIME (such as 2026-11-21T10:00:00Z)"
            )
        await consumer.commit(await _offsets(consumer, partitions, start))
    finally:
        await consumer.stop()


async def _partitions(options: Mapping[str, Any], topic: str) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(**options)
    await admin.start()
    try:
        (found,) = await admin.describe_topics([topic])
    finally:
        await admin.close()
    if not found["partitions"]:
        raise Misconfigured(f"topic {topic} does not exist: create it with `omniguard topics apply`")
    return [TopicPartition(topic, number) for number in sorted(p["partition"] for p in found["partitions"])]


async def _offsets(consumer: AIOKafkaConsumer, partitions: list[TopicPartition], start: str) -> dict[TopicPartition, int]:
    if start == "earliest":
        return dict(await consumer.beginning_offsets(partitions))
    ends: dict[TopicPartition, int] = dict(await consumer.end_offsets(partitions))
    if start == "latest":
        return ends
    try:
        time = datetime.fromisoformat(start)
    except ValueError:
        raise Misconfigured(f"--from {start}: expected earliest, latest or an ISO 8601 time") from None
    if time.tzinfo is None:
        raise Misconfigured(f"--from {start}: the time has no zone; add one, such as Z")
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, int(time.timestamp() * 1000)))
    return {p: found[p].offset if found[p] is not None else ends[p] for p in partitions}
