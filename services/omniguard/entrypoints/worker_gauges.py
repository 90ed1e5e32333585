"""What a worker tells of itself at every scrape: how full, how late, how ready."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from omniguard.adapters.media_folder import free_bytes
from omniguard.adapters.redis_store import RedisAssessmentStore
from omniguard.adapters.triton_guard import TritonGuard
from omniguard.bootstrap import Service
from omniguard.observability import METRICS, Metrics
from omniguard.settings import WorkerSettings


def away(service: Service) -> list[str]:
    """What the worker does without for now. None of it makes it unready: other workers have the same Redis and guard."""
    told = []
    if isinstance(service.store, RedisAssessmentStore) and not service.store.available:
        told.append("redis: cannot be asked; what it would know is a miss")
    if isinstance(service.guard, TritonGuard):
        missing, known = service.guard.away
        if missing:
            told.append(f"triton: {missing} of {known} servers cannot be asked; with none, uploads wait out their time")
    return told


class WorkerGauges:
    """Of one process, hence of one lane."""

    def __init__(self, worker: WorkerSettings, metrics: Metrics = METRICS) -> None:
        """Tell the lane's limit, which does not change."""
        self._lane, self._metrics = worker.lane.value, metrics
        self._critiques, self._media_folder = worker.critique_window, worker.media_folder
        self._waited: dict[str, float] = {}
        metrics.set("omniguard_lane_limit_seconds", worker.event_time_limit or worker.late_max_age, lane=self._lane)

    def ready(self, checks: Mapping[str, bool]) -> None:
        """The conditions of /readyz."""
        for check, holds in checks.items():
            self._metrics.set("omniguard_worker_ready", int(holds), lane=self._lane, check=check)

    def tell(self, service: Service) -> None:
        """Windows, waits, lag, and room for media."""
        window, metrics = service.window, self._metrics
        metrics.set("omniguard_window_events", window.waiting_for_verdict)
        metrics.set("omniguard_window_bytes", window.bytes_held)
        metrics.set("omniguard_ledger_depth", window.open)
        metrics.set("omniguard_critique_window_events", service.critic.waiting)
        shares: dict[str, float] = {**window.used, "critiques": service.critic.waiting / self._critiques}
        for resource, share in shares.items():
            metrics.set("omniguard_window_ratio", share, lane=self._lane, resource=resource)
        for limit, seconds in window.waits.seconds.items():
            more = seconds - self._waited.get(limit, 0.0)
            metrics.count("omniguard_window_full_seconds_total", max(0.0, more), lane=self._lane, limit=limit)
            self._waited[limit] = seconds
        metrics.set("omniguard_media_folder_free_bytes", free_bytes(self._media_folder))
        if isinstance(service.store, RedisAssessmentStore):
            metrics.state("omniguard_redis_state", "state", "available" if service.store.available else "away")
        oldest = service.intake.oldest
        age = (datetime.now(UTC) - oldest).total_seconds() if oldest else 0.0
        metrics.set("omniguard_lag_age_seconds", max(0.0, age), lane=self._lane)
