"""The worker process: one lane, one Faust app, one window."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from omniguard.adapters.faust_worker import Consuming, GuardApp, build_app, running
from omniguard.adapters.kafka_client import client_options
from omniguard.adapters.kafka_publisher import KafkaPublisher
from omniguard.adapters.start_offsets import ensure_start
from omniguard.bootstrap import Service, kafka_publisher, service
from omniguard.domain.lane import Lane
from omniguard.entrypoints.health import Liveness, health_server
from omniguard.entrypoints.worker_gauges import WorkerGauges, away
from omniguard.observability import METRICS, configure_logging, configure_tracing
from omniguard.ports import GuardModel
from omniguard.settings import Settings

log = structlog.get_logger("omniguard.worker")


async def run(
    settings: Settings,
    *,
    start: str | None = None,
    ready: Callable[[int], None] | None = None,
    guard: GuardModel | None = None,
) -> None:
    """Run a worker until SIGTERM or SIGINT.

    Args:
        settings: the whole tree; `settings.worker.lane` says which lane.
        start: where a consumer group begins that has never committed: `earliest`, `latest`, an ISO time, or None to refuse.
        ready: called with the health server's port once records are consumed.
        guard: replaces Triton, for benchmarks and tests.

    Raises:
        Misconfigured: a file or setting must be changed by the operator.

    """
    configure_logging(level=settings.telemetry.log_level, json=settings.telemetry.json_logs)
    stop_tracing = configure_tracing(settings.telemetry.otlp_endpoint, service=f"omniguard-worker-{settings.worker.lane}")
    try:
        await _Worker(settings, start, ready, guard).run()
    finally:
        stop_tracing()


class _Worker:
    def __init__(
        self, settings: Settings, start: str | None, ready: Callable[[int], None] | None, guard: GuardModel | None
    ) -> None:
        self._settings, self._start, self._ready, self._guard = settings, start, ready, guard
        limit = settings.worker.event_time_limit or settings.worker.backfill_seconds
        self._liveness = Liveness(limit, self._records_wait)
        self._gauges = WorkerGauges(settings.worker)
        self._told_to_stop = asyncio.Event()
        self._publisher: KafkaPublisher | None = None
        self._service: Service | None = None
        self._app: GuardApp | None = None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop.set)
        worker = self._settings.worker
        async with health_server(
            worker.health_host,
            worker.health_port,
            liveness=self._liveness,
            readiness=self._readiness,
            metrics=self._metrics,
            away=lambda: [] if self._service is None else away(self._service),
        ) as port:
            await self._until_stopped(self._wait_and_consume(port))

    async def _wait_and_consume(self, port: int) -> None:
        """Wait for the broker first: Faust would exit without one."""
        async with (
            kafka_publisher(self._settings) as self._publisher,
            service(
                self._settings,
                publisher=self._publisher,
                guard=self._guard,
                progress=self._liveness.progress,
                live=self._settings.worker.lane is Lane.LIVE,
            ) as self._service,
        ):
            self._service.model.ask()
            await self._consume(self._service, port)

    async def _consume(self, built: Service, port: int) -> None:
        kafka, worker = self._settings.kafka, self._settings.worker
        topic, group = built.topics.content(built.lane), built.topics.group(built.lane)
        await ensure_start(client_options(kafka), topic, group, self._start, patience=kafka.unknown_topic_seconds)
        consuming = Consuming(topic, group, worker.window_events, worker.drain_timeout, worker.state_folder)
        self._app = build_app(kafka, consuming, built.window, built.intake)
        async with running(self._app) as failing:
            log.info("consuming", topic=topic, group=group, lane=built.lane.value)
            if self._ready is not None:
                self._ready(port)
            await asyncio.shield(failing)

    async def _until_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` until it fails or a signal comes; then cancel it, which drains the window within its limit."""
        working = asyncio.create_task(work)
        stopping = asyncio.create_task(self._told_to_stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not working.done():
            log.info("stopping", limit_seconds=self._settings.worker.drain_timeout)
            working.cancel()
            await asyncio.wait({working})
        if not working.cancelled():
            working.result()

    async def _records_wait(self) -> bool:
        if self._app is None or self._service is None or self._publisher is None or not self._publisher.available:
            return False
        if self._service.letter_limit.reached:
            return False  # stopped on purpose: a restart would write as many letters again
        return self._service.window.open > 0 or await self._app.records_wait()

    def _readiness(self) -> dict[str, bool]:
        return {
            "kafka": self._publisher is not None and self._publisher.available,
            "guard": self._service is not None and self._service.model.known,
            "consuming": self._app is not None and self._app.consuming,
            "dead_letter_limit": self._service is None or not self._service.letter_limit.reached,
        }

    def _metrics(self) -> bytes:
        self._gauges.ready(self._readiness())
        if self._service is not None:
            self._gauges.tell(self._service)
        return METRICS.render()
