"""From what was sent and what came back to a report. Pure: no clock, no I/O.

Every latency counts from the moment an upload was due, not from when the producer got round to it: a system that holds up its
producer cannot hide that (coordinated omission).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Ends = Literal["verdict", "letter", "both"]
"""How an event must end: a named one by a verdict, one that nobody can name by a dead letter, a bad named one by both."""

RECOVERED = 2.0
"""A second counts as recovered where its p95 is at most so many times that of the quiet beginning."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One upload. `due` and `at`, planned and true time of sending, are seconds on one monotonic clock."""

    key: str
    due: float
    at: float
    group: str = "others"
    phase: str = "steady"
    ends: Ends = "verdict"


@dataclass(frozen=True, slots=True)
class Answer:
    """One verdict as observed; `at` is on the clock of `Sent.due`. `coverage` is the share of the upload that was examined."""

    key: str
    at: float
    verdict_id: str
    status: str
    reason: str | None = None
    cached: bool = False
    coverage: float = 1.0


@dataclass(frozen=True, slots=True)
class Passed:
    """One record seen on a slower lane (`backfill`, `late`) or among the dead letters (`letter`)."""

    key: str
    at: float
    where: str


@dataclass(frozen=True, slots=True)
class Sample:
    """What all workers together held and had spent at a moment. CPU and guard seconds count up from the workers' start."""

    at: float
    rss_bytes: int
    descriptors: int
    cpu_seconds: float
    guard_seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run must keep; None asks nothing. Lost uploads are never allowed.

    `ratio` is of the p99 of others in the phase `loaded` to that in the phase `quiet`. `recovery_s` is how long after the last
    loaded phase latency may take to be as before. `rss_growth` is a share, from the second quarter of the run to the last.
    """

    p99_ms: float | None = None
    indeterminate: float | None = None
    ratio: float | None = None
    recovery_s: float | None = None
    rss_growth: float | None = None
    descriptor_growth: int | None = None


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from due to the first verdict, of the uploads of one group due in one phase that got one."""

    group: str
    phase: str
    sent: int
    answered: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Report:
    """What a run came to. `producer_late_ms` is the p99 of how late the producer itself was: part of every latency."""

    seconds: float
    sent: int
    answered: int
    deferred: int
    letters: int
    lost: int
    duplicates: int
    cached: int
    coverage: float
    indeterminate: Mapping[str, int]
    latencies: Sequence[Latency]
    producer_late_ms: float
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    recovery_s: float | None = None
    cpu_ms_per_upload: float | None = None
    guard_ms_per_upload: float | None = None
    rss_mib: float | None = None
    rss_growth: float | None = None
    descriptors: int | None = None
    descriptor_growth: int | None = None

    def misses(self, limits: Limits) -> list[str]:
        """Each threshold that was missed, as a sentence."""
        found = [f"{self.lost} of {self.sent} uploads ended without their answer; expected none"] if self.lost else []
        share = sum(self.indeterminate.values()) / self.sent if self.sent else 0.0
        worst = max((row.p99_ms for row in self.latencies if row.group == "others"), default=0.0)
        checks: list[tuple[str, float | None, float | None, Callable[[float], str]]] = [
            ("p99", worst, limits.p99_ms, lambda v: f"{v:.0f} ms"),
            ("the share of indeterminate verdicts", share, limits.indeterminate, lambda v: f"{v:.1%}"),
            ("p99 of others, loaded to quiet,", self.ratio, limits.ratio, lambda v: f"{v:.2f}"),
            ("the way back to quiet latencies", self.recovery_s, limits.recovery_s, lambda v: f"{v:.0f} s"),
            ("growth of memory", self.rss_growth, limits.rss_growth, lambda v: f"{v:.1%}"),
            ("growth of open descriptors", self.descriptor_growth, limits.descriptor_growth, lambda v: f"{v:.0f}"),
        ]
        for what, value, limit, show in checks:
            if limit is not None and (value is None or value > limit):
                found.append(f"{what} is {'unknown' if value is None else show(value)}; expected at most {show(limit)}")
        return found


@dataclass(slots=True)
class Seen:
    """What the observer collects, in order of arrival."""

    answers: list[Answer] = field(default_factory=list)
    passed: list[Passed] = field(default_factory=list)


def report(sent: Sequence[Sent], seen: Seen, samples: Sequence[Sample], *, seconds: float) -> Report:
    """Compare what was sent with all that was seen; provisional verdicts, and what others sent, are left out.

    The same verdict id twice is a duplicate; a later revision of the same upload is not.
    """
    mine = {each.key: each for each in sent}
    answers = sorted((a for a in seen.answers if a.key in mine and a.status != "provisional"), key=lambda a: a.at)
    first: dict[str, Answer] = {}
    for answer in answers:
        first.setdefault(answer.key, answer)
    last = {answer.key: answer for answer in answers}
    letters = {p.key for p in seen.passed if p.where == "letter"}
    deferred = {p.key for p in seen.passed if p.where != "letter"} - first.keys()
    lost = sum(not _ended(each, first.keys() | deferred, letters) for each in sent)
    quiet, loaded = (_times(sent, first, "others", phase) for phase in ("quiet", "loaded"))
    low, high = spread(loaded, quiet) if quiet and loaded else (None, None)
    grown = _growth(samples)
    per_upload = _per_upload(samples, len(first))
    return Report(
        seconds=seconds,
        sent=len(sent),
        answered=len(first),
        deferred=len(deferred & mine.keys()),
        letters=len(letters & mine.keys()),
        lost=lost,
        duplicates=len(answers) - len({a.verdict_id for a in answers}),
        cached=sum(a.cached for a in first.values()),
        coverage=sum(a.coverage for a in last.values()) / len(last) if last else 0.0,
        indeterminate=dict(Counter(a.reason or "unknown" for a in last.values() if a.status == "indeterminate")),
        latencies=_latencies(sent, first),
        producer_late_ms=cut([(s.at - s.due) * 1000 for s in sent], 0.99),
        ratio=cut(loaded, 0.99) / cut(quiet, 0.99) if quiet and loaded else None,
        ratio_low=low,
        ratio_high=high,
        recovery_s=recovery(sent, first),
        cpu_ms_per_upload=per_upload and per_upload[0],
        guard_ms_per_upload=per_upload and per_upload[1],
        rss_mib=max((s.rss_bytes for s in samples), default=0) / 2**20 if samples else None,
        rss_growth=grown and grown[0],
        descriptors=max(s.descriptors for s in samples) if samples else None,
        descriptor_growth=None if grown is None else grown[1],
    )


def cut(times: Sequence[float], share: float) -> float:
    """The time within which that share of all were answered; 0 where there is none."""
    return sorted(times)[min(len(times) - 1, round(share * len(times)))] if times else 0.0


def spread(loaded: Sequence[float], quiet: Sequence[float], samples: int = 200) -> tuple[float, float]:
    """A 95 % interval of the ratio of the two p99, by drawing anew from both."""
    chance = random.Random(2)
    draws = sorted(
        cut(chance.choices(loaded, k=len(loaded)), 0.99) / cut(chance.choices(quiet, k=len(quiet)), 0.99) for _ in range(samples)
    )
    return draws[round(0.025 * samples)], draws[round(0.975 * samples)]


def recovery(sent: Sequence[Sent], first: Mapping[str, Answer]) -> float | None:
    """Seconds from the end of the last loaded phase until each later second is as fast as the quiet beginning.

    None where nothing was loaded, or where no quiet second stands before or behind it.
    """
    loaded = [s.due for s in sent if s.phase == "loaded"]
    if not loaded:
        return None
    quiet = [(first[s.key].at - s.due) * 1000 for s in sent if s.phase == "quiet" and s.due < min(loaded) and s.key in first]
    after: dict[int, list[float]] = {}
    for each in sent:
        if each.due > max(loaded) and each.key in first:
            after.setdefault(int(each.due - max(loaded)), []).append((first[each.key].at - each.due) * 1000)
    if not quiet or not after:
        return None
    slow = [second for second, times in after.items() if cut(times, 0.95) > RECOVERED * cut(quiet, 0.95)]
    return float(max(slow) + 1) if slow else 0.0


def _ended(sent: Sent, answered: Iterable[str], letters: Iterable[str]) -> bool:
    return (sent.ends == "letter" or sent.key in answered) and (sent.ends == "verdict" or sent.key in letters)


def _times(sent: Sequence[Sent], first: Mapping[str, Answer], group: str, phase: str) -> list[float]:
    return [(first[s.key].at - s.due) * 1000 for s in sent if (s.group, s.phase) == (group, phase) and s.key in first]


def _latencies(sent: Sequence[Sent], first: Mapping[str, Answer]) -> list[Latency]:
    rows = []
    for group, phase in dict.fromkeys((s.group, s.phase) for s in sent):
        times = _times(sent, first, group, phase)
        count = sum((s.group, s.phase) == (group, phase) for s in sent)
        rows.append(Latency(group, phase, count, len(times), *(cut(times, share) for share in (0.5, 0.95, 0.99, 1.0))))
    return rows


def _per_upload(samples: Sequence[Sample], answered: int) -> tuple[float, float] | None:
    if len(samples) < 2 or not answered:
        return None
    start, end = samples[0], samples[-1]
    return (
        (end.cpu_seconds - start.cpu_seconds) * 1000 / answered,
        (end.guard_seconds - start.guard_seconds) * 1000 / answered,
    )


def _growth(samples: Sequence[Sample]) -> tuple[float, int] | None:
    """Of memory as a share and of descriptors, from the second quarter to the last: the first one is warming up."""
    quarter = len(samples) // 4
    if quarter < 2:
        return None
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    before, now = (sum(s.rss_bytes for s in part) / len(part) for part in (early, late))
    return now / before - 1, max(s.descriptors for s in late) - max(s.descriptors for s in early)
