"""The promises of docs/architecture.md, checked on what can be seen on the topics.

Nothing here knows what the test did: records in the lanes are what was uploaded, and all else must follow from them.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from faults.observer import Committed, Seen
from omniguard.consume import VerdictTable
from omniguard.contracts.content_event import Rejected, parse
from omniguard.contracts.verdict import VerdictData
from omniguard.domain.content import Deletion, Identity, Upload
from omniguard.domain.decision import Status
from omniguard.domain.lane import Lane
from omniguard.domain.reason import Reason
from omniguard.domain.record import Record
from omniguard.domain.revision import RETRACTION_REQUEST, STRIDE
from omniguard.errors import Unidentifiable

Ended = tuple[str, int, int]
"""tenant|content_id, content_version, request."""

DELETED = -1
"""In the place of a request: a deletion has none."""


@dataclass
class Report:
    """What a run came to."""

    events: int
    lost: list[str]
    displaced: list[str]
    duplicates: int
    unanswered: list[str]
    unexpected: list[str]

    def __str__(self) -> str:
        return (
            f"events {self.events}, lost {len(self.lost)}, displaced {len(self.displaced)}, duplicates {self.duplicates}, "
            f"critiques owed {len(self.unanswered)}"
        )


def check_invariants(seen: Seen, *, seed: int, crash_suspects: Iterable[str] = ()) -> Report:
    """Assert all promises over a run that has come to rest.

    Args:
        seen: everything on the topics.
        seed: orders the records for the consumer's rule, so that a failure can be repeated.
        crash_suspects: content ids that may be answered so; any other is a bystander.

    """
    report = Report(
        events=sum(len(records) for records in seen.lanes.values()),
        lost=list(_lost(seen)),
        displaced=list(_displaced(seen.verdicts, seed)),
        duplicates=len(seen.verdicts) - len({v.verdict_id for v in seen.verdicts}),
        unanswered=list(_unanswered(seen)),
        unexpected=[*_silent_allows(seen), *_wrongly_suspected(seen, set(crash_suspects)), *_contradictions(seen.verdicts)],
    )
    assert_kept(report, seed=seed)
    return report


def assert_kept(report: Report, *, seed: int) -> None:
    """Assert that a report has nothing in it that breaks a promise."""
    print(f"seed {seed}: {report}")  # pytest shows it with a failure, and with -s
    assert not report.lost, f"seed {seed}: lost {report.lost}"
    assert not report.displaced, f"seed {seed}: a final was displaced: {report.displaced}"
    assert not report.unanswered, f"seed {seed}: critiques never answered: {report.unanswered}"
    assert not report.unexpected, f"seed {seed}: {report.unexpected}"


def check_committed(seen: Seen, committed: Committed, *, seed: int) -> None:
    """Assert that no committed offset had passed an unfinished event. `seen` was read after `committed`, with no worker alive."""
    passed = [
        record.id
        for lane, records in seen.lanes.items()
        for record in records
        if record.offset < committed.get(record.partition, 0) and not _finished(record, lane, seen)
    ]
    assert not passed, f"seed {seed}: committed offsets passed unfinished events: {passed}"


def _lost(seen: Seen) -> Iterator[str]:
    for lane, records in seen.lanes.items():
        yield from (record.id for record in records if not _answered(record, lane, seen))


def _finished(record: Record, lane: Lane, seen: Seen) -> bool:
    """Answered, and what the answer promised is out too."""
    event = read_event(record)
    owed = {v.verdict_id for v in seen.verdicts if event is not None and end_of(v) == event and v.critique_ref}
    return _answered(record, lane, seen) and owed <= {c.verdict_id for c in seen.critiques}


def _answered(record: Record, lane: Lane, seen: Seen) -> bool:
    event = read_event(record)
    if event is None:
        origin = (record.partition.topic, record.partition.number, record.offset)
        return origin in {(d.origin_topic, d.origin_partition, d.origin_offset) for d in seen.dead_letters}
    if event in {end_of(v) for v in seen.verdicts if v.status is not Status.PROVISIONAL}:
        return True
    return _deferred(record, lane, seen) or _deleted(record, seen)


def _deferred(record: Record, lane: Lane, seen: Seen) -> bool:
    slower = list(Lane)[list(Lane).index(lane) + 1 :]
    return any((r.key, r.value) == (record.key, record.value) for other in slower for r in seen.lanes[other])


def _deleted(record: Record, seen: Seen) -> bool:
    """A deletion behind it covers it, and was answered by a verdict that is newer than any of its own."""
    event = read_event(record)
    assert event is not None
    return any(v.status is Status.RETRACTED and v.key == event[0] and v.content_version >= event[1] for v in seen.verdicts)


def read_event(record: Record) -> Ended | None:
    """Whose event a record is; None where nobody can say."""
    try:
        event: Upload | Deletion = parse(record.key, record.value, record.headers)
    except Unidentifiable:
        return None
    except Rejected as error:
        return _address(error.identity, error.request)
    return _address(event.identity, event.request if isinstance(event, Upload) else RETRACTION_REQUEST)


def _address(identity: Identity, request: int) -> Ended:
    return identity.key, identity.content_version, request


def end_of(verdict: VerdictData) -> Ended:
    """The event that a verdict answers."""
    request = DELETED if verdict.status is Status.RETRACTED else verdict.revision // STRIDE
    return verdict.key, verdict.content_version, request


def _displaced(verdicts: list[VerdictData], seed: int) -> Iterator[str]:
    """Apply the records in many orders: the same must stand each time, and an established answer must not be undone."""
    by_key: defaultdict[str, list[VerdictData]] = defaultdict(list)
    for each in verdicts:
        by_key[each.key].append(each)
    choice = random.Random(seed)
    for key, records in by_key.items():
        standing = {_stands(choice.sample(records, len(records)), key) for _ in range(10)} | {_stands(records, key)}
        if len(standing) > 1:
            yield f"{key}: what stands depends on the order of the records"
        last = max(records, key=lambda v: v.order)
        established = {end_of(v) for v in records if v.status in (Status.FINAL, Status.RETRACTED)}
        if end_of(last) in established and last.status not in (Status.FINAL, Status.RETRACTED):
            yield f"{key}: {last.status} {last.reason} stands over a final of the same request"


def _stands(records: list[VerdictData], key: str) -> str:
    table = VerdictTable()
    for each in records:
        table.apply(each)
    standing = table.get(key)
    assert standing is not None
    return standing.verdict_id


def _unanswered(seen: Seen) -> Iterator[str]:
    answers = seen.critiques_by_verdict()
    for each in {v.critique_ref: v for v in seen.verdicts if v.critique_ref}.values():
        if each.critique_ref not in answers:
            yield f"{each.content_id} v{each.content_version} {each.verdict_id}"


def _silent_allows(seen: Seen) -> Iterator[str]:
    """The scripted guard finds `hateword` in every text that has it; what it was not asked must not be allowed."""
    harmful = {read_event(r) for records in seen.lanes.values() for r in records if b"hateword" in (r.value or b"")}
    for each in seen.verdicts:
        if each.action == "allow" and each.status is Status.FINAL and end_of(each) in harmful:
            yield f"{each.content_id} v{each.content_version} was allowed"
        if each.action == "allow" and each.status is Status.INDETERMINATE:
            yield f"{each.content_id} v{each.content_version} was allowed without a judgement"


def _wrongly_suspected(seen: Seen, suspects: set[str]) -> Iterator[str]:
    for each in seen.verdicts:
        if each.reason is Reason.CRASH_SUSPECT and each.content_id not in suspects:
            yield f"{each.content_id} was suspected, though it was a bystander"


def _contradictions(verdicts: list[VerdictData]) -> Iterator[str]:
    """Two records with one id say the same."""
    first: dict[str, VerdictData] = {}
    for each in verdicts:
        known = first.setdefault(each.verdict_id, each)
        if (known.status, known.action) != (each.status, each.action):
            yield f"{each.content_id}: {each.verdict_id} says {known.action} and {each.action}"
