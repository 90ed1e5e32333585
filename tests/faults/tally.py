"""The invariants over a run of any length: each record is folded into a few numbers as it is read, and let go.

Says the same as `invariants.check_invariants`, which keeps every record and is the one to read first; a test runs both. An event
costs about half a kilobyte, whatever it held.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from faults.invariants import Report, end_of, read_event
from omniguard.contracts.critique import CritiqueData
from omniguard.contracts.dead_letter import DeadLetterHeaders
from omniguard.contracts.verdict import VerdictData
from omniguard.domain.decision import Status
from omniguard.domain.lane import Lane
from omniguard.domain.reason import Reason
from omniguard.domain.record import Record

_ESTABLISHED = (Status.FINAL, Status.RETRACTED)
Place = tuple[str, int, int]
"""Topic, partition, offset."""


@dataclass(slots=True)
class _Last:
    """The newest verdict of a content; `tied` if another of the same order has another id."""

    order: tuple[int, int, int]
    verdict: int
    end: int
    established: bool
    name: str
    tied: bool = False


class Tally:
    """Notes for an `Observer`. Keys, ids and events are kept as hashes; what is still open is kept by name."""

    def __init__(self) -> None:
        self.events = self.verdicts = self.duplicates = 0
        self.open: dict[int, str] = {}
        """Uploads without a verdict that ends them."""
        self.owed: dict[int, str] = {}
        """Critiques promised and not answered."""
        self.suspects: set[str] = set()
        self.reasons: Counter[str] = Counter()
        self._wrong: list[str] = []
        self._ended: set[int] = set()
        self._final: set[int] = set()
        self._harmful: set[int] = set()
        self._allowed: dict[int, str] = {}
        self._said: dict[int, tuple[str, str]] = {}
        self._last: dict[int, _Last] = {}
        self._answered: set[int] = set()
        self._unread: set[Place] = set()
        self._letters: set[Place] = set()

    @property
    def ended(self) -> int:
        """Uploads that have a verdict which ends them, and unreadable records that have their dead letter."""
        return len(self._ended) + len(self._unread & self._letters)

    @property
    def not_final(self) -> int:
        """Uploads that ended otherwise than by a final verdict."""
        return len(self._ended - self._final)

    def event(self, lane: Lane, record: Record) -> None:
        self.events += 1
        event = read_event(record)
        if event is None:
            self._unread.add((record.partition.topic, record.partition.number, record.offset))
            return
        number = hash(event)
        if number not in self._ended:
            self.open[number] = f"{event[0]} v{event[1]}"
        if b"hateword" in (record.value or b""):
            self._harmful.add(number)

    def verdict(self, said: VerdictData) -> None:
        self.verdicts += 1
        number, end = hash(said.verdict_id), hash(end_of(said))
        self._compare(said, number)
        if said.status is not Status.PROVISIONAL:
            self._ended.add(end)
            self.open.pop(end, None)
        if said.status in _ESTABLISHED:
            self._final.add(end)
        if said.action == "allow":
            self._allow(said, end)
        if said.reason is Reason.CRASH_SUSPECT:
            self.suspects.add(said.content_id)
        if said.critique_ref and hash(said.critique_ref) not in self._answered:
            self.owed[hash(said.critique_ref)] = f"{said.content_id} v{said.content_version}"
        self._keep_last(said, number, end)

    def critique(self, said: CritiqueData) -> None:
        self._answered.add(hash(said.verdict_id))
        self.owed.pop(hash(said.verdict_id), None)

    def dead_letter(self, headers: DeadLetterHeaders, record: Record) -> None:
        self._letters.add((headers.origin_topic, headers.origin_partition, headers.origin_offset))

    def report(self) -> Report:
        """As of now; see `invariants.assert_kept`."""
        return Report(
            events=self.events,
            lost=[*self.open.values(), *(f"{t}/{p}/{o}" for t, p, o in self._unread - self._letters)],
            displaced=list(self._displaced()),
            duplicates=self.duplicates,
            unanswered=list(self.owed.values()),
            unexpected=[*self._wrong, *(f"{self._allowed[end]} was allowed" for end in self._allowed.keys() & self._harmful)],
        )

    def _compare(self, said: VerdictData, number: int) -> None:
        """Of two records with one id the second is a duplicate, and must say the same."""
        meaning = (str(said.status), str(said.action))
        if number not in self._said:
            self._said[number] = meaning
            if said.reason:
                self.reasons[str(said.reason)] += 1
            return
        self.duplicates += 1
        if self._said[number] != meaning:
            self._wrong.append(f"{said.content_id}: {said.verdict_id} says {self._said[number]} and {meaning}")

    def _allow(self, said: VerdictData, end: int) -> None:
        if said.status is Status.INDETERMINATE:
            self._wrong.append(f"{said.content_id} v{said.content_version} was allowed without a judgement")
        elif said.status is Status.FINAL:
            self._allowed[end] = f"{said.content_id} v{said.content_version}"

    def _keep_last(self, said: VerdictData, number: int, end: int) -> None:
        last = self._last.get(hash(said.key))
        if last is None or said.order > last.order:
            self._last[hash(said.key)] = _Last(said.order, number, end, said.status in _ESTABLISHED, said.key)
        elif said.order == last.order and number != last.verdict:
            last.tied = True

    def _displaced(self) -> list[str]:
        tied = [f"{last.name}: what stands depends on the order of the records" for last in self._last.values() if last.tied]
        undone = [last.name for last in self._last.values() if last.end in self._final and not last.established]
        return [*tied, *(f"{name}: something else stands over a final of the same request" for name in undone)]
