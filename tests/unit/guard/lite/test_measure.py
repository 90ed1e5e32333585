"""Our metrics against scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score, roc_curve

from omniguard.guard.lite import measure

CASES = [(seed, rounding) for seed in range(4) for rounding in (1, 6)]  # one decimal: many ties


def _scores(seed: int, rounding: int) -> tuple[measure.Scores, measure.Scores]:
    draw = np.random.default_rng(seed)
    return draw.normal(0.8, 0.5, 80).round(rounding), draw.normal(0.0, 0.5, 120).round(rounding)


@pytest.mark.parametrize(("seed", "rounding"), CASES)
def test_auc_f1_and_recall_agree_with_sklearn(seed: int, rounding: int) -> None:
    positive, negative = _scores(seed, rounding)
    truth, scores = np.r_[np.ones(80), np.zeros(120)], np.r_[positive, negative]
    assert measure.auc(positive, negative) == pytest.approx(roc_auc_score(truth, scores))
    assert measure.f1(positive, negative, 0.4) == pytest.approx(f1_score(truth, scores >= 0.4))
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    assert measure.recall_at(positive, negative, 0.05) == pytest.approx(tpr[fpr <= 0.05].max())


def test_the_threshold_keeps_its_rate_with_ties() -> None:
    negative = np.asarray([0.0] * 50 + [1.0] * 50)
    threshold = measure.threshold_at(negative, 0.05)
    assert measure.share_over(negative, threshold) <= 0.05


def test_intervals_hold_the_value_and_are_repeatable() -> None:
    positive, negative = _scores(1, 6)
    first = measure.bootstrap(measure.auc, positive, negative)
    assert first.low <= first.value <= first.high
    assert first == measure.bootstrap(measure.auc, positive, negative)


def test_nothing_to_measure_is_nan() -> None:
    assert np.isnan(measure.bootstrap(measure.auc, np.asarray([]), np.asarray([1.0])).value)
    assert np.isnan(measure.bootstrap_share(np.asarray([]), 0.5).value)
