"""Figures per category and per source, with 95 % bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from omniguard.evaluation.dataset import Example
from omniguard.evaluation.scorer import ExampleScore
from omniguard.guard.lite import measure
from omniguard.guard.lite.measure import Estimate, Scores


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the report. `score` says which score was used: `unsafe`, or the category's own.

    A set with harmful rows alone is `recall_only`: its negatives are the run's harmless rows of other sets.
    A harmless set has only `fpr`.
    """

    name: str
    score: str
    n_pos: int
    n_neg: int
    recall_only: bool
    auc: Estimate
    recall_at_fpr05: Estimate
    recall: Estimate
    fpr: Estimate
    f1: Estimate


@dataclass(frozen=True, slots=True)
class Joint:
    """AUC of the joint judgement and of the best single one, over the rows that have both."""

    n_pos: int
    n_neg: int
    joint: Estimate
    best_single: Estimate


@dataclass(frozen=True, slots=True)
class Report:
    """What one run found. `joint` is None where no row had several media judged together (text alone, say)."""

    scorer: str
    threshold: float
    rows: int
    not_assessed: int
    sources: tuple[Line, ...]
    categories: tuple[Line, ...]
    joint: Joint | None


def report(scorer: str, examples: Sequence[Example], scores: Sequence[ExampleScore], threshold: float) -> Report:
    """Figures over the assessed rows. `threshold` is the decision score from which a row counts as flagged."""
    judged = [(e, s) for e, s in zip(examples, scores, strict=True) if s.assessed]
    sources = tuple(_source(name, judged, threshold) for name in dict.fromkeys(e.source for e in examples))
    names = sorted({label for e, _ in judged for label in e.labels})
    overall = _line("all", "unsafe", [s.unsafe for e, s in judged if e.labels], _harmless(judged), threshold)
    return Report(
        scorer=scorer,
        threshold=threshold,
        rows=len(examples),
        not_assessed=len(examples) - len(judged),
        sources=(*sources, overall),
        categories=tuple(_category(name, judged, threshold) for name in names),
        joint=_joint(judged),
    )


_Judged = Sequence[tuple[Example, ExampleScore]]


def _harmless(judged: _Judged) -> list[float]:
    return [s.unsafe for e, s in judged if not e.labels]


def _source(name: str, judged: _Judged, threshold: float) -> Line:
    positive = [s.unsafe for e, s in judged if e.source == name and e.labels]
    negative = [s.unsafe for e, s in judged if e.source == name and not e.labels]
    paired = bool(positive) and not negative
    return _line(name, "unsafe", positive, _harmless(judged) if paired else negative, threshold, recall_only=paired)


def _category(name: str, judged: _Judged, threshold: float) -> Line:
    own = any(name in s.categories for _, s in judged)

    def value(score: ExampleScore) -> float:
        return score.categories.get(name, 0.0) if own else score.unsafe

    positive = [value(s) for e, s in judged if name in e.labels]
    return _line(name, name if own else "unsafe", positive, [value(s) for e, s in judged if not e.labels], threshold)


def _line(
    name: str, score: str, positive: Sequence[float], negative: Sequence[float], threshold: float, *, recall_only: bool = False
) -> Line:
    pos, neg = np.asarray(positive, np.float64), np.asarray(negative, np.float64)

    def f1(p: Scores, n: Scores) -> float:
        return measure.f1(p, n, threshold)

    return Line(
        name=name,
        score=score,
        n_pos=len(pos),
        n_neg=len(neg),
        recall_only=recall_only,
        auc=measure.bootstrap(measure.auc, pos, neg),
        recall_at_fpr05=measure.bootstrap(measure.recall_at, pos, neg),
        recall=measure.bootstrap_share(pos, threshold),
        fpr=measure.bootstrap_share(neg, threshold),
        f1=measure.bootstrap(f1, pos, neg),
    )


def _joint(judged: _Judged) -> Joint | None:
    both = [(bool(e.labels), s.joint, max(s.single.values())) for e, s in judged if s.joint is not None and s.single]
    harmful = np.asarray([b[0] for b in both], bool)
    if not harmful.any() or harmful.all():
        return None
    joint, single = np.asarray([b[1] for b in both], np.float64), np.asarray([b[2] for b in both], np.float64)
    return Joint(
        n_pos=int(harmful.sum()),
        n_neg=int((~harmful).sum()),
        joint=measure.bootstrap(measure.auc, joint[harmful], joint[~harmful]),
        best_single=measure.bootstrap(measure.auc, single[harmful], single[~harmful]),
    )
