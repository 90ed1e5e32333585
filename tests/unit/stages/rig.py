"""A pipeline over the shipped twins: a guard with a word list, a store, a publisher and a clock that is turned by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from omniguard.adapters.clock import SystemClock
from omniguard.adapters.decoder import ProcessDecoder
from omniguard.adapters.memory_assessments import MemoryAssessmentStore
from omniguard.adapters.memory_guard import MemoryGuard
from omniguard.adapters.memory_media import memory_media_store
from omniguard.adapters.memory_publisher import MemoryPublisher
from omniguard.contracts import critique, dead_letter, verdict
from omniguard.contracts.critique import CritiqueData
from omniguard.contracts.dead_letter import DeadLetterHeaders
from omniguard.contracts.policy_file import shipped_policy
from omniguard.contracts.topics import Topics
from omniguard.contracts.verdict import VerdictData
from omniguard.domain.lane import Lane
from omniguard.domain.plan import ChunkPlan
from omniguard.domain.record import Partition, Record
from omniguard.domain.tenant import Tenant, Tenants
from omniguard.ports import Clock, GuardModel, Message
from omniguard.stages.chunk import Chunk
from omniguard.stages.critic import Critic
from omniguard.stages.decide import Decide
from omniguard.stages.examine import Examine
from omniguard.stages.explain import Explain
from omniguard.stages.ingest import Ingest
from omniguard.stages.intake import Intake
from omniguard.stages.judge import Judge
from omniguard.stages.model import LoadedModel
from omniguard.stages.moderate import LaneRules, Moderate
from omniguard.stages.pipeline import Pipeline
from omniguard.stages.publish import Publish
from omniguard.stages.quota import Quotas
from omniguard.stages.window import Window

WORDS = {"hateword": ("hate", 0.97), "rudeword": ("hate", 0.6)}
POLICY = shipped_policy("default")
BOUND = 20.0


@dataclass
class Options:
    """What a test may change before the rig is built."""

    lane: Lane = Lane.LIVE
    maximum: float | None = 30.0
    heavy_seconds: float | None = None
    late_max_age: float = 3600.0
    critique_timeout: float = 5.0
    critique_queue: int = 8
    tenant: Tenant = field(default_factory=lambda: Tenant("acme", POLICY, 1))
    clock: Clock = field(default_factory=SystemClock)
    objects: dict[str, bytes] = field(default_factory=dict)
    guard: GuardModel | None = None
    words: dict[str, tuple[str, float]] = field(default_factory=lambda: dict(WORDS))


class Rig:
    """Everything of one worker but what feeds it records."""

    def __init__(self, options: Options, decoder: ProcessDecoder, folder: Path) -> None:
        self.options = options
        self.topics = Topics()
        self.guard: Any = options.guard or MemoryGuard(options.words)
        self.store, self.publisher = MemoryAssessmentStore(), MemoryPublisher()
        clock = options.clock
        self.publish = Publish(self.publisher, self.topics, "structured")
        self.decide = Decide(clock)
        self.model = LoadedModel(self.guard, clock)
        judge = Judge(self.guard, self.store, clock, concurrency=4)
        ingest = Ingest(memory_media_store(options.objects), clock, concurrency=4)
        examine = Examine(self.model, ingest, Chunk(decoder), judge, self.store, clock, ChunkPlan())
        self.critic = Critic(self.guard, concurrency=1, queue=options.critique_queue, timeout=options.critique_timeout)
        explain = Explain(examine, self.critic, self.publish, clock)
        rules = LaneRules(options.lane, options.maximum, options.heavy_seconds, options.late_max_age)
        moderate = Moderate(rules, examine, self.decide, self.publish, explain, clock, folder)
        tenants = Tenants({options.tenant.name: options.tenant})
        self.pipeline = Pipeline(
            options.lane, lambda: tenants, moderate, explain, self.decide, self.publish, Quotas(clock, at_once=1000), self.store
        )
        self.progressed = 0
        self.window = Window(self.pipeline.carry, max_events=8, max_bytes=1 << 24, max_open=64, progress=self._progress)
        self.intake = Intake(self.window, self.store)
        self._offset = -1

    def _progress(self) -> None:
        self.progressed += 1

    def record(self, data: dict[str, Any], *, kind: str = "content-event", key: bytes | None = None, age: float = 0.0) -> Record:
        """The next record of the lane. `age` is in seconds."""
        self._offset += 1
        event = {"specversion": "1.0", "type": f"omniguard.{kind}.v1", "source": "/u", "id": "1", "data": data}
        key = f"{data.get('tenant')}|{data.get('content_id')}".encode() if key is None else key
        time = self.options.clock.now() - timedelta(seconds=age)
        return Record(Partition(self.topics.content(self.options.lane), 0), self._offset, key, orjson.dumps(event), time)

    async def take(self, record: Record) -> None:
        """As the consumer would."""
        await self.intake.take(record)

    async def carry(self, record: Record) -> None:
        """Take a record and wait until it has ended."""
        await self.take(record)
        await self.until(lambda: self.window.open == 0)

    async def until(self, done: Callable[[], object]) -> None:
        async with asyncio.timeout(BOUND):
            while not done():
                assert not self.window.crashed.done(), self.window.crashed.exception()
                await asyncio.sleep(0.001)

    @property
    def verdicts(self) -> list[VerdictData]:
        return [verdict.decode(m.value, m.headers) for m in self.publisher.records(self.topics.verdicts)]

    @property
    def critiques(self) -> list[CritiqueData]:
        return [critique.decode(m.value, m.headers) for m in self.publisher.records(self.topics.critiques)]

    @property
    def dead_letters(self) -> list[DeadLetterHeaders]:
        return [dead_letter.decode(m.headers) for m in self.publisher.records(self.topics.dead_letters)]

    def deferred(self, lane: Lane) -> tuple[Message, ...]:
        return self.publisher.records(self.topics.content(lane))


def upload(text: str = "hello", content_id: str = "c1", **data: Any) -> dict[str, Any]:
    """The data of an upload of one text."""
    parts = [{"id": "p0", "modality": "text", "text": text}]
    return {"tenant": "acme", "content_id": content_id, "content_version": 1, "parts": parts, **data}


@asynccontextmanager
async def rig(folder: Path, **options: Any) -> AsyncIterator[Rig]:
    """A rig; what still runs at the end is cut off."""
    async with AsyncExitStack() as stack:
        decoder = await stack.enter_async_context(ProcessDecoder(processes=1))
        made = Rig(replace(Options(), **options), decoder, folder)
        stack.push_async_callback(made.model.close)
        stack.push_async_callback(made.window.drain, 0.0)
        yield made


def soon(seconds: float) -> str:
    """A deadline."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
