"""Back to where a group stands, also where that is a partition's first record.

aiokafka's `seek_to_committed` leaves a partition where it is if its committed offset is 0 or it has none. Faust drops what a poll
brought while partitions were being moved, and rewinds by that call: the first records of a new partition were never judged.
"""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

__all__ = ["rewind_to_first_records"]

_rewind = AIOKafkaConsumer.seek_to_committed


def rewind_to_first_records() -> None:
    """Let every consumer of this process do so, those of Faust included."""
    AIOKafkaConsumer.seek_to_committed = _rewind_all


async def _rewind_all(consumer: Any, *partitions: TopicPartition) -> dict[TopicPartition, int | None]:
    """In the place of aiokafka's own; gives the committed offsets, as that does."""
    committed: dict[TopicPartition, int | None] = await _rewind(consumer, *partitions)
    for partition, offset in committed.items():
        if offset == 0:
            consumer.seek(partition, 0)
        elif offset is None:  # a partition that was added later: its group begins at its beginning
            await consumer.seek_to_beginning(partition)
    return committed
