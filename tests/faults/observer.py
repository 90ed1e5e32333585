"""Reads everything a platform and an operator can see of one installation, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from omniguard.adapters.kafka_records import read_any_header_name
from omniguard.contracts import critique, verdict
from omniguard.contracts.critique import CritiqueData
from omniguard.contracts.dead_letter import DeadLetterHeaders
from omniguard.contracts.dead_letter import decode as decode_dead_letter
from omniguard.contracts.topics import Topics
from omniguard.contracts.verdict import VerdictData
from omniguard.domain.lane import Lane
from omniguard.domain.record import Partition, Record

Committed = dict[Partition, int]
REQUEST_MS = 5_000
"""How long a silent broker is waited for before another is asked."""


class Notes(Protocol):
    """What is made of the records read."""

    def event(self, lane: Lane, record: Record) -> None:
        """One of a lane's topic."""

    def verdict(self, said: VerdictData) -> None:
        """One of the verdicts topic."""

    def critique(self, said: CritiqueData) -> None:
        """One of the critiques topic."""

    def dead_letter(self, headers: DeadLetterHeaders, record: Record) -> None:
        """One of the dead-letters topic."""


@dataclass
class Seen:
    """All records so far, each list in the order in which it was read."""

    lanes: dict[Lane, list[Record]] = field(default_factory=lambda: {lane: [] for lane in Lane})
    verdicts: list[VerdictData] = field(default_factory=list)
    critiques: list[CritiqueData] = field(default_factory=list)
    dead_letters: list[DeadLetterHeaders] = field(default_factory=list)
    dead_records: list[Record] = field(default_factory=list)

    def event(self, lane: Lane, record: Record) -> None:
        self.lanes[lane].append(record)

    def verdict(self, said: VerdictData) -> None:
        self.verdicts.append(said)

    def critique(self, said: CritiqueData) -> None:
        self.critiques.append(said)

    def dead_letter(self, headers: DeadLetterHeaders, record: Record) -> None:
        self.dead_letters.append(headers)
        self.dead_records.append(record)

    def verdicts_of(self, content_id: str) -> list[VerdictData]:
        return [v for v in self.verdicts if v.content_id == content_id]

    def ended(self) -> int:
        """How many (content, version, request) have a verdict that ends them."""
        return len({(v.key, v.content_version, v.revision // 1_000_000) for v in self.verdicts if v.status != "provisional"})

    def critiques_by_verdict(self) -> dict[str, list[CritiqueData]]:
        found: defaultdict[str, list[CritiqueData]] = defaultdict(list)
        for each in self.critiques:
            found[each.verdict_id].append(each)
        return found


class Observer:
    """Reads to the end on demand. Use as an async context manager."""

    def __init__(self, bootstrap: str, topics: Topics, notes: Notes | None = None) -> None:
        """Everything is kept in `seen`, unless `notes` are to be made of it instead."""
        self._bootstrap, self._topics = bootstrap, topics
        self._lanes = {topics.content(lane): lane for lane in Lane}
        self.seen = Seen()
        self._notes: Notes = notes or self.seen

    async def __aenter__(self) -> Observer:
        read_any_header_name()
        self._admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap, request_timeout_ms=REQUEST_MS)
        await self._admin.start()
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
            request_timeout_ms=REQUEST_MS,
        )
        await self._consumer.start()
        described = await self._admin.describe_topics([t.name for t in self._topics.all])
        parts = [TopicPartition(t["topic"], p["partition"]) for t in described for p in t["partitions"]]
        self._consumer.assign(parts)
        self._parts = parts
        return self

    async def __aexit__(self, *_: object) -> None:
        # aiokafka lets the cancellation of its own fetch out where a broker was away meanwhile.
        with contextlib.suppress(asyncio.CancelledError):
            await self._consumer.stop()
        await self._admin.close()

    async def read(self) -> Seen:
        """Read to what is the end now."""
        ends = await self._ends(self._parts)
        while any([await self._consumer.position(p) < ends[p] for p in self._parts]):
            for part, records in (await self._consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    self._take(part, record)
        return self.seen

    async def until(self, done: Callable[[Seen], object], seconds: float = 60.0, what: str = "the awaited records") -> Seen:
        """Read until the condition holds."""
        try:
            async with asyncio.timeout(seconds):
                while not done(await self.read()):  # noqa: ASYNC110  the broker tells, not this process
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{what} did not come within {seconds} s; seen: {self._summary()}") from None
        return self.seen

    async def _ends(self, parts: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Asked again while a partition's leader is about to be another."""
        while True:
            try:
                return dict(await self._consumer.end_offsets(parts))
            except KafkaError:
                await asyncio.sleep(0.1)

    async def committed(self) -> Committed:
        """The offsets that every lane's group has committed. Asked again while a coordinator is about to be another."""
        while True:
            try:
                return await self._committed()
            except (KafkaError, TimeoutError):
                await asyncio.sleep(0.1)
                with contextlib.suppress(KafkaError, TimeoutError):
                    await self._admin._client.force_metadata_update()

    async def _committed(self) -> Committed:
        found: Committed = {}
        for lane in Lane:
            offsets = await self._admin.list_consumer_group_offsets(self._topics.group(lane))
            found |= {Partition(tp.topic, tp.partition): meta.offset for tp, meta in offsets.items() if meta.offset >= 0}
        return found

    async def until_committed(self, seconds: float = 60.0, lanes: tuple[Lane, ...] = (Lane.LIVE,)) -> Committed:
        """Wait until the committed offsets of the lanes stand at the end of their topics."""
        topics = {self._topics.content(lane) for lane in lanes}
        parts = [p for p in self._parts if p.topic in topics]
        try:
            async with asyncio.timeout(seconds):
                while True:
                    committed = await self.committed()
                    ends = await self._ends(parts)
                    if all(committed.get(Partition(p.topic, p.partition), 0) == end for p, end in ends.items()):
                        return committed
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"offsets did not reach the end within {seconds} s: {committed} of {ends}") from None

    def _take(self, part: TopicPartition, raw: Any) -> None:
        record = _record(part, raw)
        if part.topic in self._lanes:
            self._notes.event(self._lanes[part.topic], record)
        elif part.topic == self._topics.verdicts:
            self._notes.verdict(verdict.decode(record.value, record.headers))
        elif part.topic == self._topics.critiques:
            self._notes.critique(critique.decode(record.value, record.headers))
        else:
            self._notes.dead_letter(decode_dead_letter(record.headers), record)

    def _summary(self) -> str:
        seen = self.seen
        return (
            f"{[(v.content_id, v.content_version, str(v.status), v.reason and str(v.reason)) for v in seen.verdicts][-20:]}, "
            f"{len(seen.verdicts)} verdicts, {len(seen.critiques)} critiques, {len(seen.dead_letters)} dead letters"
        )


def _record(part: TopicPartition, raw: object) -> Record:
    headers = {name: content or b"" for name, content in raw.headers}  # type: ignore[attr-defined]
    time = datetime.fromtimestamp(raw.timestamp / 1000, UTC)  # type: ignore[attr-defined]
    return Record(Partition(part.topic, part.partition), raw.offset, raw.key, raw.value, time, headers)  # type: ignore[attr-defined]
