"""What the stages need from the outside world, on one page. Every port has an in-memory twin in `adapters`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from omniguard.domain.content import FetchedPart, MediaInfo, Part, Segment
from omniguard.domain.deadline import Deadline
from omniguard.domain.fetching import FetchRules
from omniguard.domain.plan import ChunkPlan
from omniguard.domain.scores import Assessment, Critique, NamedCategory, SegmentScore
from omniguard.guard.wire import Capabilities, GuardRequest, LabelEvent


class Clock(Protocol):
    """Time, so that tests can turn it."""

    def now(self) -> datetime:
        """Aware UTC."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""


class MediaStore(Protocol):
    """Reads a part's bytes by reference or inline into a folder."""

    async def fetch(self, part: Part, rules: FetchRules, into: Path, deadline: Deadline) -> FetchedPart:
        """Stream the bytes to a file below `into`, hash and sniff them.

        Raises:
            BadContent: forbidden, not found, too large, wrong hash, wrong type.
            Retryable: the store did not answer properly in time (fetch_failed), or the deadline passed.

        """


class Decoder(Protocol):
    """Turns a fetched media part into segments, in a process of its own."""

    async def probe(self, part: FetchedPart, deadline: Deadline) -> MediaInfo:
        """Read container and limits without decoding the whole.

        Raises:
            BadContent: damaged, too long, too large, unsupported, decoder_crashed.
            Retryable: the deadline passed.

        """

    def segments(self, part: FetchedPart, info: MediaInfo, plan: ChunkPlan, deadline: Deadline) -> AsyncGenerator[Segment, None]:
        """Decode in order of time; at most a few segments are held at once.

        Raises as `probe`; what was yielded before an error stays valid, so partial coverage can be stated.
        """


@dataclass(frozen=True, slots=True)
class Label:
    """A guard's answer to one label request. `categories` is empty below the request's `categories_from`.

    `free` are names that the model gave of its own accord; untrusted text.
    """

    event: LabelEvent
    categories: tuple[NamedCategory, ...] = ()
    free: tuple[str, ...] = ()


class GuardModel(Protocol):
    """The guard, wherever it runs.

    Raises, from every call:
        Retryable: guard_unavailable, guard_failed or deadline.
        BadContent: unsupported; not_assessed, where the model's answer is neither safe nor unsafe.
    """

    async def capabilities(self) -> Capabilities:
        """What the loaded engine can take. Cheap: answered by the model's control path."""

    async def label(self, request: GuardRequest, media: Sequence[bytes], *, affinity: str = "") -> Label:
        """Label, then categories where the label calls for them. `affinity`, the content's hash, keeps it at one replica."""

    async def critique(self, request: GuardRequest, media: Sequence[bytes], *, affinity: str = "") -> Critique:
        """The whole critique, once it is written: by the replica that gave the label with this `affinity`, if it is there."""


class AssessmentStore(Protocol):
    """Saves work, never decides anything: every method behaves as a miss while the store is down, and never raises for it."""

    async def get(self, key: str) -> Assessment | None:
        """A complete assessment."""

    async def put(self, key: str, assessment: Assessment, *, content: str, version: int | None = None) -> None:
        """Keep one. `content` (tenant|content_id) is what `forget` finds it by; nothing is kept of a deleted `version` of it."""

    async def recall(self, key: str) -> SegmentScore | None:
        """A segment's memo."""

    async def remember(self, key: str, score: SegmentScore, *, content: str, version: int | None = None) -> None:
        """Memo one segment, so that a restart does not pay twice; `content` and `version` as for `put`."""

    async def forget(self, content: str, version: int | None = None) -> bool:
        """Drop all that was kept for a content. Returns False where the store did not take it: ask again.

        `version` (a deletion event): it and all before it are deleted, and what is put for them from here on, by whatever
        process, is not kept.
        """

    async def deleted(self, content: str, version: int) -> bool:
        """Whether this version of a content was deleted; False where nobody can tell."""

    def single_flight(self, key: str, patience: float) -> AbstractAsyncContextManager[bool]:
        """Enter with True: do the work. False: another did it while we waited (at most `patience` seconds): look again."""

    async def attempt(self, record: str) -> int:
        """Count a start of this record ("topic/partition/offset"), across processes; return how many, this one included."""

    async def attempts(self, record: str) -> int:
        """How many starts are counted; 0 where nobody can tell."""

    async def give_back(self, record: str) -> None:
        """Take the last start back: it ended in an orderly way, and its record comes again. Starts that ended in a death stay."""

    async def settle(self, record: str) -> None:
        """Forget the count: the record ended."""


@dataclass(frozen=True, slots=True)
class Message:
    """A record to publish. `headers` values are bytes; a duplicate key is not possible (Faust keeps the last anyway)."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] = field(default_factory=dict)


class Publisher(Protocol):
    """Publishes; returns only when the broker has the record on all in-sync replicas."""

    async def publish(self, message: Message) -> None:
        """Wait as long as the broker is away; cancellation is the only way out.

        Raises:
            Misconfigured: the broker refuses the record for good (no such topic, no right, too large).

        """
