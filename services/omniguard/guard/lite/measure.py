"""How well scores tell harmful from harmless: plain numpy, checked against scikit-learn in the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
FALSE_POSITIVES = 0.05
"""The false positive rate at which recall is reported."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its 95 % bootstrap interval. All three are NaN where there is nothing to measure."""

    value: float
    low: float
    high: float


def auc(positive: Scores, negative: Scores) -> float:
    """Chance that a random positive scores above a random negative, ties counting half."""
    order = np.sort(negative)
    below = np.searchsorted(order, positive, side="left")
    upto = np.searchsorted(order, positive, side="right")
    return float((below + upto).sum() / (2.0 * len(positive) * len(negative)))


def threshold_at(negative: Scores, rate: float = FALSE_POSITIVES) -> float:
    """The smallest threshold t with a share of at most `rate` of `negative` at or above t (scores at t count as flagged)."""
    order = np.sort(negative)[::-1]
    allowed = int(rate * len(order) + 1e-9)
    return float(np.nextafter(order[allowed], np.inf)) if allowed < len(order) else float(order[-1])


def recall_at(positive: Scores, negative: Scores, rate: float = FALSE_POSITIVES) -> float:
    """Share of positives flagged when at most `rate` of the negatives are."""
    return float((positive >= threshold_at(negative, rate)).mean())


def share_over(scores: Scores, threshold: float) -> float:
    """Share of scores at or above the threshold: recall of positives, false positive rate of negatives."""
    return float((scores >= threshold).mean())


def f1(positive: Scores, negative: Scores, threshold: float) -> float:
    """Harmonic mean of precision and recall at the threshold; 0 if nothing is found."""
    hits, misses = int((positive >= threshold).sum()), int((positive < threshold).sum())
    wrong = int((negative >= threshold).sum())
    return 2.0 * hits / (2.0 * hits + misses + wrong) if hits else 0.0


def bootstrap(
    metric: Callable[[Scores, Scores], float], positive: Scores, negative: Scores, *, rounds: int = 500, seed: int = 7
) -> Estimate:
    """`metric` on the whole, and its 2.5 and 97.5 % quantiles over `rounds` resamples of positives and negatives apart."""
    if not len(positive) or not len(negative):
        return Estimate(float("nan"), float("nan"), float("nan"))
    draw = np.random.default_rng(seed)
    values = [metric(draw.choice(positive, len(positive)), draw.choice(negative, len(negative))) for _ in range(rounds)]
    low, high = np.quantile(values, [0.025, 0.975])
    return Estimate(metric(positive, negative), float(low), float(high))


def bootstrap_share(scores: Scores, threshold: float, *, rounds: int = 500, seed: int = 7) -> Estimate:
    """`share_over` and its 95 % interval over resamples of one set."""
    if not len(scores):
        return Estimate(float("nan"), float("nan"), float("nan"))
    draw = np.random.default_rng(seed)
    values = [share_over(draw.choice(scores, len(scores)), threshold) for _ in range(rounds)]
    low, high = np.quantile(values, [0.025, 0.975])
    return Estimate(share_over(scores, threshold), float(low), float(high))
