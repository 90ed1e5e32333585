"""What one part showed: scores by category, where, and what may be vouched for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from omniguard.domain.taxonomy import CATEGORIES
from omniguard.guard.lite.text import TextScore
from omniguard.guard.wire import WireCategory, WireEvidence, WireNamed

__all__ = ["EVIDENCE_FROM", "NAMED_FROM", "Finding", "counted", "evident", "named", "strongest", "words"]

NAMED_FROM = 0.5
"""A head at its operating point or over names its category; every head is trained to have it at 0.5."""
EVIDENCE_FROM = 0.3
"""Below it a place is not worth pointing at."""
_MOST_EVIDENCE = 16


@dataclass(frozen=True, slots=True)
class Finding:
    """Scores 0..1 by category; `assessed` is what the engine vouches for on this very input. Holds no content."""

    scores: Mapping[str, float] = field(default_factory=dict)
    evidence: tuple[WireEvidence, ...] = ()
    assessed: frozenset[str] = frozenset()

    @classmethod
    def merged(cls, findings: Iterable[Finding], assessed: frozenset[str] = frozenset()) -> Finding:
        """The larger of every score, all evidence, and `assessed` as given."""
        scores: dict[str, float] = {}
        evidence: list[WireEvidence] = []
        for finding in findings:
            for category, score in finding.scores.items():
                scores[category] = max(score, scores.get(category, 0.0))
            evidence += finding.evidence
        return cls(scores, tuple(evidence), assessed)


def words(kind: str, score: TextScore, start: float | None = None, end: float | None = None) -> Finding:
    """A text's scores as a finding whose every category is at `start` to `end` (the heads' own spans where both are None)."""
    evidence = []
    for category, value in score.categories.items():
        if value >= EVIDENCE_FROM:
            a, b = score.spans.get(category, (None, None)) if kind == "text_span" else (start, end)
            evidence.append(WireEvidence(kind=kind, start=a, end=b, category=category, score=value))
    return Finding(score.categories, tuple(evidence), score.assessed)


def evident(category: str, score: float, kind: str, start: float | None, end: float | None) -> Finding:
    """One category's score, with its place if the score is worth pointing at."""
    place = (WireEvidence(kind=kind, start=start, end=end, category=category, score=score),) if score >= EVIDENCE_FROM else ()
    return Finding({category: score}, place)


def counted(scores: Mapping[str, float], policy: Sequence[WireCategory]) -> dict[str, float]:
    """The scores that the policy asks about: those of its categories, or all of them if it lists none."""
    wanted = {category.name for category in policy} or set(CATEGORIES)
    return {category: score for category, score in scores.items() if category in wanted}


def named(scores: Mapping[str, float], categories_from: float) -> tuple[WireNamed, ...]:
    """Categories at or over the naming threshold, the surest first; else the top one if it reaches `categories_from`."""
    order = sorted(scores, key=lambda c: (-scores[c], c))
    chosen = [c for c in order if scores[c] >= NAMED_FROM] or [c for c in order[:1] if scores[c] >= categories_from]
    return tuple(WireNamed(name=c, confidence=scores[c]) for c in chosen)


def strongest(evidence: Iterable[WireEvidence], categories: Iterable[str]) -> tuple[WireEvidence, ...]:
    """The strongest pieces of evidence for `categories`, at most 16."""
    wanted = set(categories)
    ours = [e for e in evidence if e.category in wanted]
    return tuple(sorted(ours, key=lambda e: -(e.score or 0.0))[:_MOST_EVIDENCE])
