from __future__ import annotations

import pytest

from omniguard.entrypoints.worker import _Worker
from omniguard.entrypoints.worker_gauges import WorkerGauges
from omniguard.observability import GAUGES, METRICS, Metrics
from omniguard.settings import WorkerSettings, load_settings


def test_every_check_of_readyz_is_a_label_of_the_gauge() -> None:
    """One that is not would fail each scrape."""
    worker = _Worker(load_settings(), None, None, None)
    assert tuple(worker._readiness()) == GAUGES["omniguard_worker_ready"].labels["check"]
    assert b'omniguard_worker_ready{check="kafka",lane="live"} 0.0' in worker._metrics()
    assert METRICS.value("omniguard_lane_limit_seconds", lane="live") == 30


@pytest.mark.parametrize(("lane", "limit"), [("live", 7), ("backfill", 70), ("late", 700)])
def test_the_limit_of_a_lane_is_what_lag_is_compared_with(lane: str, limit: float) -> None:
    metrics = Metrics()
    worker = WorkerSettings.model_validate({"lane": lane, "live_seconds": 7, "backfill_seconds": 70, "late_max_age": 700})
    WorkerGauges(worker, metrics).ready({"kafka": True, "guard": False})
    assert metrics.value("omniguard_lane_limit_seconds", lane=lane) == limit
    assert metrics.value("omniguard_worker_ready", lane=lane, check="kafka") == 1
