from __future__ import annotations

from typing import get_args

import pytest

from omniguard.errors import Reason
from omniguard.observability import COUNTERS, GAUGES, HISTOGRAMS, Counter, Gauge, Histogram, Metrics


@pytest.mark.parametrize(("names", "specs"), [(Counter, COUNTERS), (Gauge, GAUGES), (Histogram, HISTOGRAMS)])
def test_every_name_is_declared_once_with_help(names: object, specs: dict[str, object]) -> None:
    assert list(get_args(names)) == list(specs)
    for name, spec in specs.items():
        assert name.startswith("omniguard_")
        assert spec.help.endswith(".")  # type: ignore[attr-defined]
    assert all(name.endswith("_total") for name in COUNTERS)
    assert all(name.endswith("_seconds") for name in HISTOGRAMS)


def test_no_label_may_tell_who_or_what() -> None:
    labels = {label for specs in (COUNTERS, GAUGES, HISTOGRAMS) for spec in specs.values() for label in spec.labels}
    assert labels == {
        *("outcome", "target", "reason", "stage", "kind", "result", "mode", "lane", "bound"),
        *("error", "status", "limit", "cause", "check", "resource", "state", "part", "priority"),
        *("action", "assurance", "enforce", "category"),
    }


def test_counts_sets_observes_and_renders() -> None:
    metrics = Metrics()
    metrics.count("omniguard_indeterminate_total", reason=Reason.DEADLINE)
    metrics.count("omniguard_indeterminate_total", 2, reason="deadline")
    metrics.set("omniguard_window_events", 7)
    metrics.observe("omniguard_verdict_age_seconds", 0.2, lane="live")
    assert metrics.value("omniguard_indeterminate_total", reason="deadline") == 3
    assert metrics.value("omniguard_indeterminate_total", reason="not_found") == 0
    assert metrics.value("omniguard_window_events") == 7
    text = metrics.render().decode()
    assert 'omniguard_verdict_age_seconds_bucket{lane="live",le="0.25"} 1.0' in text
    assert 'omniguard_verdict_age_seconds_bucket{lane="live",le="0.1"} 0.0' in text
    assert "_created" not in text


def test_a_block_is_timed_however_it_ends() -> None:
    metrics = Metrics()
    with pytest.raises(KeyError), metrics.timed("omniguard_stage_duration_seconds", stage="judge"):
        raise KeyError
    assert metrics.registry.get_sample_value("omniguard_stage_duration_seconds_count", {"stage": "judge"}) == 1


def test_a_counter_begins_at_zero_and_a_gauge_when_it_is_set() -> None:
    """`increase` does not see a series that begins with its first count; a supervisor has no publisher to be unavailable."""
    metrics = Metrics()
    assert 'omniguard_dead_letters_total{error="internal_error",stage="parse"} 0.0' in metrics.render().decode()
    assert "omniguard_publisher_available" not in metrics.render().decode()
    metrics.set("omniguard_publisher_available", 0)
    assert "omniguard_publisher_available 0.0" in metrics.render().decode()


def test_of_the_states_of_one_thing_one_holds() -> None:
    metrics = Metrics()
    for now in ("away", "available"):
        metrics.state("omniguard_redis_state", "state", now)
    assert metrics.value("omniguard_redis_state", state="available") == 1
    assert 'omniguard_redis_state{state="away"} 0.0' in metrics.render().decode()


@pytest.mark.parametrize("labels", [{}, {"reason": "deadline", "tenant": "acme"}, {"kind": "deadline"}])
def test_other_labels_are_refused(labels: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"omniguard_indeterminate_total: found labels .*expected \['reason'\]"):
        Metrics().count("omniguard_indeterminate_total", **labels)


def test_an_undeclared_value_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="undeclared") as caught:
        Metrics().count("omniguard_indeterminate_total", reason="what the user wrote")
    assert "what the user wrote" not in str(caught.value)
