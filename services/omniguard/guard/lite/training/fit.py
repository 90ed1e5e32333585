"""Logistic heads over embeddings, fitted and measured on folds that keep near duplicates together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

FOLDS = 5
STRENGTH = 10.0
"""Inverse of the penalty: the first value tried; 1 and 30 gave the same figures within half a point."""


@dataclass(frozen=True, slots=True)
class Head:
    """`logit = embedding @ coef + intercept`, with 0 at the operating point. `held_back` is each training row's logit by a
    model that saw neither the row nor its near duplicates; NaN for rows this head did not use.
    """

    name: str
    coef: Floats
    intercept: float
    held_back: NDArray[np.float64]


def fit(
    name: str,
    embeddings: Floats,
    positive: Bools,
    used: Bools,
    weight: Floats,
    group: NDArray[np.int64],
    allowed: dict[float, Bools],
) -> Head:
    """Fit one head on the `used` rows.

    `allowed` maps a false positive rate to the harmless rows it holds for; the operating point is the lowest that keeps them all.
    """
    x, y, w = embeddings[used], positive[used], _balanced(positive[used], weight[used])
    margins = np.full(len(embeddings), np.nan)
    out = np.empty(len(x))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=7)
    for seen, unseen in folds.split(x, y, group[used]):
        out[unseen] = _model().fit(x[seen], y[seen], sample_weight=w[seen]).decision_function(x[unseen])
    margins[used] = out
    slope = max(float(LogisticRegression(C=1e6).fit(out[:, None], y, sample_weight=w).coef_[0, 0]), 1e-3)
    point = max(float(np.quantile(margins[rows & used & ~positive], 1.0 - rate)) for rate, rows in allowed.items())
    whole = _model().fit(x, y, sample_weight=w)
    return Head(
        name=name,
        coef=(slope * whole.coef_[0]).astype(np.float32),
        intercept=slope * (float(whole.intercept_[0]) - point),
        held_back=slope * (margins - point),
    )


def _model() -> LogisticRegression:
    return LogisticRegression(C=STRENGTH, max_iter=2000)


def _balanced(positive: Bools, weight: Floats) -> NDArray[np.float64]:
    """Both classes count the same in all, so that a rare category is not drowned."""
    w = weight.astype(np.float64)
    w[positive] *= len(w) / (2.0 * w[positive].sum())
    w[~positive] *= len(w) / (2.0 * w[~positive].sum())
    return w
