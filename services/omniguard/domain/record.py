"""A record as the broker delivered it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple


class Partition(NamedTuple):
    """A topic and a partition number."""

    topic: str
    number: int


@dataclass(frozen=True, slots=True)
class Record:
    """Bytes as received. `timestamp` is the broker's, aware UTC; of duplicate header keys the last one is kept."""

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: datetime
    headers: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Names the record in logs and counters; holds no content."""
        return f"{self.partition.topic}/{self.partition.number}/{self.offset}"

    @property
    def size(self) -> int:
        """Bytes of key and value."""
        return len(self.key or b"") + len(self.value or b"")
