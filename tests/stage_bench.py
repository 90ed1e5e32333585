"""Every stage composed over the shipped twins, and what came out on each topic."""

from __future__ import annotations

import io
import time
import wave
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from omniguard.adapters.clock import ManualClock
from omniguard.adapters.decoder import InlineDecoder
from omniguard.adapters.memory_assessments import MemoryAssessmentStore
from omniguard.adapters.memory_guard import MemoryGuard
from omniguard.adapters.memory_media import memory_media_store
from omniguard.adapters.memory_publisher import MemoryPublisher
from omniguard.contracts import critique, dead_letter, verdict
from omniguard.contracts.content_event import CONTENT_DELETED, CONTENT_EVENT
from omniguard.contracts.critique import CritiqueData
from omniguard.contracts.dead_letter import DeadLetterHeaders
from omniguard.contracts.topics import DEAD_LETTER_ROOM, INPUT_MAX_BYTES, Topics
from omniguard.contracts.verdict import VerdictData
from omniguard.domain.calibration import Calibration
from omniguard.domain.content import Identity, Modality, Part, Segment, Upload
from omniguard.domain.deadline import NEVER, Deadline
from omniguard.domain.lane import Lane
from omniguard.domain.plan import ChunkPlan
from omniguard.domain.policy import SCORE_KEYS, Category, Policy, Severity, Threshold
from omniguard.domain.record import Partition, Record
from omniguard.domain.tenant import Tenant, Tenants
from omniguard.errors import OmniGuardError
from omniguard.guard.wire import Mode
from omniguard.stages.calibrated import Calibrated
from omniguard.stages.cascade import FirstStage, Patience
from omniguard.stages.chunk import Chunk
from omniguard.stages.critic import Critic
from omniguard.stages.decide import Decide
from omniguard.stages.examine import Examination, Examine, Task
from omniguard.stages.explain import Explain
from omniguard.stages.ingest import Ingest
from omniguard.stages.judge import Judge
from omniguard.stages.model import LoadedModel
from omniguard.stages.moderate import LaneRules, Moderate
from omniguard.stages.pipeline import Pipeline
from omniguard.stages.publish import Publish
from omniguard.stages.quota import Quotas
from omniguard.stages.window import Slot, Window

WORDS = {"stab": ("violent_crimes", 0.97), "fight": ("violent_crimes", 0.6), "slur": ("hate", 0.95)}
POLICY = Policy(
    id="p",
    version=1,
    digest="d",
    categories=(
        Category("violent_crimes", "Violence.", Severity.HIGH),
        Category("hate", "Hate.", Severity.HIGH),
    ),
    thresholds=dict.fromkeys(SCORE_KEYS, Threshold(0.5, 0.9)),
    allow_uncalibrated=True,
)
ACME = Tenant("acme", POLICY, 1)


def silence(seconds: float, rate: int = 8_000) -> bytes:
    """A WAV file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(round(seconds * rate) * 2))
    return out.getvalue()


def text(words: str, part: str = "t", **fields: Any) -> dict[str, Any]:
    """A text part as an event has it."""
    return {"id": part, "modality": "text", "text": words, **fields}


def by_uri(name: str, modality: str, part: str = "m", **fields: Any) -> dict[str, Any]:
    """A part by reference to an object of the bench."""
    return {"id": part, "modality": modality, "uri": f"s3://bucket/{name}", **fields}


class Bench:
    """One lane of a worker. `objects` are what can be fetched, by name in the bucket; `clock` stands still until turned."""

    def __init__(
        self,
        folder: Path,
        *,
        lane: Lane = Lane.LIVE,
        script: Iterable[OmniGuardError | None] = (),
        tenant: Tenant = ACME,
        maximum: float | None = 30.0,
        heavy_seconds: float | None = None,
        objects: Mapping[str, bytes] | None = None,
        publisher: MemoryPublisher | None = None,
        store: MemoryAssessmentStore | None = None,
        guard: MemoryGuard | None = None,
        first: MemoryGuard | None = None,
        concurrency: int = 4,
        critique_timeout: float = 5.0,
        calibration: Calibration | None = None,
        late_try_seconds: float = 3600.0,
    ) -> None:
        # The twins of fetch and decode read the machine's monotonic clock: this one starts beside it.
        self.clock = ManualClock(monotonic=time.monotonic())
        self.lane, self.tenant, self.topics, self.folder = lane, tenant, Topics(), folder
        self.guard = guard or MemoryGuard(WORDS, script=script)
        self.store = store or MemoryAssessmentStore()
        self.publisher = publisher or MemoryPublisher(max_message_bytes=INPUT_MAX_BYTES + DEAD_LETTER_ROOM)
        self.objects = {f"s3://bucket/{name}": data for name, data in (objects or {}).items()}
        self.model = LoadedModel(self.guard, self.clock)
        self.publish = Publish(self.publisher, self.topics, "structured")
        self.calibrated = Calibrated(calibration)
        self.decide = Decide(self.clock, self.calibrated)
        self.judge = Judge(self.guard, self.store, self.clock, concurrency=concurrency)
        media = memory_media_store(self.objects)
        self.examine = Examine(
            self.model,
            Ingest(media, self.clock, concurrency=4),
            Chunk(InlineDecoder()),
            self.judge,
            self.store,
            self.clock,
            ChunkPlan(),
            self.calibrated,
            self._first_stage(first) if first else None,
            live=lane is Lane.LIVE,
        )
        self.critic = Critic(self.guard, concurrency=2, queue=4, timeout=critique_timeout)
        explain = Explain(self.examine, self.critic, self.publish, self.clock)
        rules = LaneRules(lane, maximum, heavy_seconds, late_max_age=3600.0, late_try_seconds=late_try_seconds)
        self.moderate = Moderate(rules, self.examine, self.decide, self.publish, explain, self.clock, folder)
        self.pipeline = Pipeline(
            lane, self._tenants, self.moderate, explain, self.decide, self.publish, Quotas(self.clock, at_once=1000), self.store
        )
        self._offset = 0

    def _first_stage(self, guard: MemoryGuard) -> FirstStage:
        self.first_model = LoadedModel(guard, self.clock)
        judge = Judge(guard, self.store, self.clock, concurrency=4)
        chunk, patience = Chunk(InlineDecoder()), Patience(0.5, 0.5)
        return FirstStage(
            "small", self.first_model, judge, chunk, self.store, self.clock, ChunkPlan(), salt="salt", patience=patience
        )

    def _tenants(self) -> Tenants:
        return Tenants({self.tenant.name: self.tenant})

    def record(self, value: bytes | None, key: bytes | None = b"acme|c1", headers: Mapping[str, bytes] | None = None) -> Record:
        """A record of this lane, stamped now."""
        self._offset += 1
        return Record(Partition(self.topics.content(self.lane), 0), self._offset, key, value, self.clock.now(), headers or {})

    def event(
        self, *parts: dict[str, Any], kind: str = CONTENT_EVENT, headers: Mapping[str, bytes] | None = None, **data: Any
    ) -> Record:
        """An upload of these parts, or with `kind` something else; `data` goes over what an event holds."""
        body = {"tenant": "acme", "content_id": "c1", "content_version": 1, **({"parts": parts} if parts else {}), **data}
        envelope = {"specversion": "1.0", "type": kind, "source": "/test", "id": "1", "data": body}
        return self.record(orjson.dumps(envelope), f"{body['tenant']}|{body['content_id']}".encode(), headers)

    def deletion(self, version: int = 1) -> Record:
        """The deletion of that version."""
        return self.event(kind=CONTENT_DELETED, content_version=version)

    def slot(self, record: Record, attempts: int = 1) -> Slot:
        """The event's place in a window of its own."""
        window = Window(self.pipeline.carry, max_events=8, max_bytes=1 << 24, max_open=64, progress=lambda: None)
        return Slot(window, record, attempts)

    async def carry(self, record: Record) -> Slot:
        """Count a start and carry the record to its end."""
        slot = self.slot(record, await self.store.attempt(record.id))
        await self.pipeline.carry(record, slot)
        return slot

    async def upload(self, *parts: dict[str, Any], **data: Any) -> VerdictData:
        """Carry an upload to its end; return the last verdict."""
        await self.carry(self.event(*parts, **data))
        return self.verdicts[-1]

    async def task(self, *parts: Part, deadline: Deadline = NEVER, heavy_seconds: float | None = None, **upload: Any) -> Task:
        """What `Examine` is given for an upload of these parts."""
        made = Upload(Identity("acme", "c1", 1), parts, **upload)
        return Task(made, self.tenant, deadline, 1, self.folder, heavy_seconds, weigh=lambda size: None)

    async def examined(self, *parts: Part, deadline: Deadline = NEVER, **upload: Any) -> Examination:
        """Examine an upload of these parts."""
        exam = Examination(self.tenant.policy.floor)
        await self.examine.examine(await self.task(*parts, deadline=deadline, **upload), exam)
        return exam

    def policy(self, **changes: Any) -> None:
        """Another policy is in force from here on."""
        self.tenant = replace(self.tenant, policy=replace(self.tenant.policy, **changes))

    @property
    def verdicts(self) -> list[VerdictData]:
        """All verdicts, oldest first."""
        return [verdict.decode(m.value, m.headers) for m in self.publisher.records(self.topics.verdicts)]

    @property
    def critiques(self) -> list[CritiqueData]:
        """All critique records."""
        return [critique.decode(m.value, m.headers) for m in self.publisher.records(self.topics.critiques)]

    @property
    def letters(self) -> list[DeadLetterHeaders]:
        """What our headers say of each dead letter."""
        return [dead_letter.decode(m.headers) for m in self.publisher.records(self.topics.dead_letters)]

    @property
    def labels(self) -> int:
        """How often the guard was asked for a label."""
        return sum(call.request.mode is Mode.LABEL for call in self.guard.calls)


def text_part(words: str, part: str = "t", role: str | None = None) -> Part:
    """A text part as the domain has it."""
    return Part(part, Modality.TEXT, role=role, text=words)


async def stream(*segments: Segment):  # type: ignore[no-untyped-def]
    """Segments as the decoder yields them."""
    for segment in segments:
        yield segment
