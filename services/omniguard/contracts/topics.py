"""Every topic, once: name, key, partitions, retention, sizes, and which component may do what with it.

`omniguard topics` creates and checks them from here, the generated docs show them, and the chart's ACLs are checked against them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from omniguard.domain.lane import Lane

DAY_MS = 24 * 3600 * 1000
INPUT_MAX_BYTES = 1024 * 1024
LANE_DAYS = 7
SEGMENT_MS = DAY_MS
"""A broker deletes whole segments once their youngest record is too old: a record may outlive its retention by this much."""
RECORD_DAYS = LANE_DAYS + SEGMENT_MS // DAY_MS
"""How long a lane may hold a copy of an upload."""
DEAD_LETTER_ROOM = 64 * 1024
"""What a dead letter may be larger than the record it holds: its own headers."""


class Component(StrEnum):
    """Who connects to the broker.

    `producer` is the platform that uploads, `consumer` the side that enforces, `emerging` what gathers freely given names,
    `probe` what proves that an installation judges.
    """

    PRODUCER = "producer"
    WORKER_LIVE = "worker-live"
    WORKER_BACKFILL = "worker-backfill"
    WORKER_LATE = "worker-late"
    CONSUMER = "consumer"
    EMERGING = "emerging"
    OPERATOR = "operator"
    PROBE = "probe"


WORKERS = {Lane.LIVE: Component.WORKER_LIVE, Lane.BACKFILL: Component.WORKER_BACKFILL, Lane.LATE: Component.WORKER_LATE}
_ALL_WORKERS = frozenset(WORKERS.values())


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as declared. Reading includes describing; so does writing. `key` is in words."""

    name: str
    purpose: str
    key: str
    partitions: int
    retention_ms: int
    max_message_bytes: int
    readers: frozenset[Component]
    writers: frozenset[Component]
    cleanup_policy: str = "delete"

    @property
    def configs(self) -> dict[str, str]:
        """As the broker takes them."""
        return {
            "cleanup.policy": self.cleanup_policy,
            "retention.ms": str(self.retention_ms),
            "segment.ms": str(SEGMENT_MS),
            "max.message.bytes": str(self.max_message_bytes),
            # Deadlines rest on the broker's clock; a producer's would let it lengthen or void its own.
            "message.timestamp.type": "LogAppendTime",
        }


_KEY = "tenant|content_id"


class Topics:
    """The declared topics under a prefix (tests, several installations on one cluster)."""

    def __init__(self, prefix: str = "") -> None:
        """An empty prefix gives the names of the contract."""
        self.prefix = prefix
        self.verdicts = f"{prefix}verdicts"
        self.critiques = f"{prefix}critiques"
        self.dead_letters = f"{prefix}dead-letters"
        self.free_names = f"{prefix}free-names"
        self.emerging_risks = f"{prefix}emerging-risks"

    def content(self, lane: Lane) -> str:
        """The topic that is a lane."""
        suffix = "" if lane is Lane.LIVE else f".{lane}"
        return f"{self.prefix}content-events{suffix}"

    def group(self, lane: Lane) -> str:
        """The consumer group of a lane's workers."""
        return f"{self.prefix}omniguard-{lane}"

    @property
    def emerging_group(self) -> str:
        """The consumer group of what gathers freely given names."""
        return f"{self.prefix}omniguard-emerging"

    @property
    def all(self) -> tuple[Topic, ...]:
        """Every topic."""
        lanes = (self._lane(lane) for lane in Lane)
        return (*lanes, self._verdicts(), self._critiques(), self._dead_letters(), self._free_names(), self._emerging_risks())

    def _lane(self, lane: Lane) -> Topic:
        purpose = {
            Lane.LIVE: "Uploads, edits and deletions as they happen.",
            Lane.BACKFILL: "Re-moderation, tenants over quota, and long media.",
            Lane.LATE: "What was indeterminate for a passing reason; no deadline.",
        }[lane]
        # Events are deferred only towards slower lanes; the platform itself writes to the first two.
        faster = {WORKERS[other] for other in list(Lane)[: list(Lane).index(lane)]}
        platform = set() if lane is Lane.LATE else {Component.PRODUCER}
        return Topic(
            name=self.content(lane),
            purpose=purpose,
            key=_KEY,
            partitions=4 if lane is Lane.LATE else 12,
            retention_ms=LANE_DAYS * DAY_MS,
            max_message_bytes=INPUT_MAX_BYTES,
            readers=frozenset({WORKERS[lane], Component.OPERATOR}),
            writers=frozenset({*faster, *platform, Component.OPERATOR, Component.PROBE}),
        )

    def _verdicts(self) -> Topic:
        # Never compacted: provisional, indeterminate and final records of one key are a history that consumers apply in order.
        topic = self._output(self.verdicts, "What was decided, one record for each revision.")
        return replace(topic, readers=topic.readers | {Component.PROBE})

    def _critiques(self) -> Topic:
        return self._output(self.critiques, "The text that follows a verdict with a `critique_ref`, or why there is none.")

    def _output(self, name: str, purpose: str) -> Topic:
        return Topic(
            name=name,
            purpose=purpose,
            key=_KEY,
            partitions=12,
            retention_ms=30 * DAY_MS,
            max_message_bytes=INPUT_MAX_BYTES,
            readers=frozenset({Component.CONSUMER, Component.OPERATOR}),
            writers=_ALL_WORKERS,
        )

    def _dead_letters(self) -> Topic:
        return Topic(
            name=self.dead_letters,
            purpose="Records that could not be carried on, as they were received, with the reason in headers.",
            key="as received",
            partitions=4,
            retention_ms=7 * DAY_MS,
            max_message_bytes=INPUT_MAX_BYTES + DEAD_LETTER_ROOM,
            readers=frozenset({Component.OPERATOR}),
            writers=_ALL_WORKERS,
        )

    def _free_names(self) -> Topic:
        # Read anew from its start by whoever takes over a partition: kept twice as long as names count, see domain/emerging.py.
        return Topic(
            name=self.free_names,
            purpose="Names that a guard gave freely to a risk that its policy does not list.",
            key="tenant",
            partitions=4,
            retention_ms=60 * DAY_MS,
            max_message_bytes=INPUT_MAX_BYTES,
            readers=frozenset({Component.EMERGING, Component.OPERATOR}),
            writers=_ALL_WORKERS,
        )

    def _emerging_risks(self) -> Topic:
        return Topic(
            name=self.emerging_risks,
            purpose="Hints at risks that no policy lists yet; they change no action.",
            key="tenant|risk_id",
            partitions=4,
            retention_ms=90 * DAY_MS,
            max_message_bytes=INPUT_MAX_BYTES,
            readers=frozenset({Component.CONSUMER, Component.OPERATOR}),
            writers=frozenset({Component.EMERGING}),
        )
