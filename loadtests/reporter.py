"""From what was sent and what came back to a report. Pure: no clock, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles


@dataclass(frozen=True)
class Answer:
    """One verdict as observed; `at` is seconds on the clock that `sent` was noted on."""

    key: str
    at: float
    verdict_id: str
    status: str
    cached: bool


@dataclass(frozen=True)
class Limits:
    """What a run must keep. Lost uploads are never allowed."""

    p99_ms: float | None = None
    indeterminate_share: float | None = None


@dataclass(frozen=True)
class Report:
    """Percentiles are of the first verdict of each upload that got one, in milliseconds from the producer's call."""

    sent: int
    answered: int
    lost: int
    duplicates: int
    indeterminate: int
    cached: int
    rate_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float

    def misses(self, limits: Limits) -> list[str]:
        """Each threshold that was missed, as a sentence."""
        found = []
        if self.lost:
            found.append(f"{self.lost} of {self.sent} uploads got no verdict; expected none")
        if limits.p99_ms is not None and self.p99_ms > limits.p99_ms:
            found.append(f"p99 is {self.p99_ms:.0f} ms; expected at most {limits.p99_ms:.0f} ms")
        share = self.indeterminate / self.sent if self.sent else 0.0
        if limits.indeterminate_share is not None and share > limits.indeterminate_share:
            found.append(f"{share:.1%} were indeterminate; expected at most {limits.indeterminate_share:.1%}")
        return found


def report(sent: Mapping[str, float], answers: Sequence[Answer], seconds: float) -> Report:
    """Compare what was sent (key to time) with every verdict seen, provisional ones left out.

    The same verdict id twice is a duplicate; a later revision of the same upload is not.
    """
    first: dict[str, Answer] = {}
    last: dict[str, Answer] = {}
    ids: set[str] = set()
    duplicates = 0
    for answer in sorted((a for a in answers if a.key in sent and a.status != "provisional"), key=lambda a: a.at):
        duplicates += answer.verdict_id in ids
        ids.add(answer.verdict_id)
        first.setdefault(answer.key, answer)
        last[answer.key] = answer
    times = sorted((answer.at - sent[key]) * 1000 for key, answer in first.items())
    cuts = quantiles(times, n=100) if len(times) > 1 else [times[0] if times else 0.0] * 99
    return Report(
        sent=len(sent),
        answered=len(first),
        lost=len(sent) - len(first),
        duplicates=duplicates,
        indeterminate=sum(answer.status == "indeterminate" for answer in last.values()),
        cached=sum(answer.cached for answer in first.values()),
        rate_per_s=len(sent) / seconds if seconds else 0.0,
        p50_ms=cuts[49],
        p95_ms=cuts[94],
        p99_ms=cuts[98],
    )
