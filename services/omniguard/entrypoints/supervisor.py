"""Keeps the model of one Triton server answering: finds it dead, hung or failing, and replaces its process.

Triton never replaces a model process by itself, and stays "ready" without one. Its statistics count a request of a decoupled
model when it is taken in, not when it is answered, so what left the model is asked of the model (`wire.StatusEvent`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import structlog

from omniguard.adapters.triton_control import Away, CanaryFailed, ProcessDead, ReloadFailed, TritonControl, Unanswered
from omniguard.adapters.triton_process import TritonProcess
from omniguard.guard.wire import Priority, StatusEvent, Waiting
from omniguard.observability import METRICS, PRIORITIES, Metrics

log = structlog.get_logger("omniguard.supervisor")


class Finding(StrEnum):
    """What a look at the model found."""

    HEALTHY = "healthy"
    AWAY = "away"
    DEAD = "dead"
    HUNG = "hung"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class Rules:
    """All in seconds. `hang_after` None: `PATIENCE` times the slowest 99th percentile of answers seen, from `LEAST` on.

    `longest_request` is how long one request may take by itself: so long may a model be silent whose every place is taken.
    `warm_up` is how long the first answer after a load may take.
    """

    interval: float = 1.0
    canary_every: float = 5.0
    hang_after: float | None = None
    longest_request: float = 120.0
    warm_up: float = 60.0
    unload_timeout: float = 30.0
    load_timeout: float = 600.0
    exit_timeout: float = 10.0
    retry_after: float = 10.0

    def silence(self, slowest_p99: float) -> float:
        """Seconds without any answer after which a model counts as hung that computes a canary."""
        if self.hang_after is not None:
            return self.hang_after
        return max(LEAST, min(PATIENCE * slowest_p99, self.longest_request))


LEAST = 5.0
PATIENCE = 3.0
FAILURES = 3
"""Canaries in a row that end in an internal error of the engine, or that a model refuses which tells its status."""


def is_hung(status: StatusEvent, rules: Rules, slowest_p99: float) -> bool:
    """True if a canary has got no answer, and nobody else either, for longer than a healthy model takes."""
    limit = rules.silence(slowest_p99)
    if status.answered == 0:
        limit = max(limit, rules.warm_up)
    if status.canary == "waiting":
        limit = max(limit, rules.longest_request)
    return status.canary != "none" and min(status.silent_ms, status.canary_ms) >= limit * 1000


def tell_waiting(waiting: Iterable[Waiting], metrics: Metrics) -> None:
    """Set the gauges by which Triton is scaled; a model that does not tell has nothing waiting."""
    requests, oldest = dict.fromkeys(PRIORITIES, 0), dict.fromkeys(PRIORITIES, 0.0)
    for each in waiting:
        # Priorities begin at 1 behind the canary's; one that no worker of ours sends counts among the last.
        name = PRIORITIES[min(max(each.priority, Priority.LIVE_LABEL), len(PRIORITIES)) - 1]
        requests[name] += each.requests
        oldest[name] = max(oldest[name], each.oldest_ms / 1000)
    for name in PRIORITIES:
        metrics.set("omniguard_model_waiting_requests", requests[name], priority=name)
        metrics.set("omniguard_model_oldest_wait_seconds", oldest[name], priority=name)


class Supervisor:
    """Looks every `interval`. `process` is Triton, where we may signal it; without it `unhealthy` asks others to restart it."""

    def __init__(
        self, control: TritonControl, rules: Rules, process: TritonProcess | None = None, *, metrics: Metrics = METRICS
    ) -> None:
        """Nothing is looked at before `run`."""
        self._control, self._rules, self._process, self._metrics = control, rules, process, metrics
        self._slowest_p99 = 0.0
        self._canary: asyncio.Task[None] | None = None
        self._canary_due = 0.0
        self._failures = 0
        self.finding = Finding.AWAY
        self.unhealthy = False
        """The model is broken, and a reload did not mend it: only then would a restart of Triton help."""

    async def run(self) -> None:
        """Until cancelled."""
        self._metrics.set("omniguard_canary_last_success_timestamp_seconds", time.time())  # none may ever come
        try:
            while True:
                await self._look()
                await asyncio.sleep(self._rules.interval)
        finally:
            await self._drop_canary()

    async def _look(self) -> None:
        finding = await self._examine()
        if finding is not self.finding:
            log.info("the model's state changed", state=finding.value)
        self.finding = finding
        for state in Finding:
            self._metrics.set("omniguard_model_state", int(state is finding), kind=state.value)
        if finding in (Finding.HEALTHY, Finding.AWAY):
            self.unhealthy = False
        else:
            self._metrics.count("omniguard_model_faults_total", kind=finding.value)
            await self._heal(finding)

    async def _examine(self) -> Finding:
        patience = max(self._rules.silence(self._slowest_p99), LEAST)
        status: StatusEvent | None = None
        try:
            status = await self._status(patience)
        except ProcessDead:
            return Finding.DEAD
        except Unanswered:
            return Finding.HUNG
        except Away:
            # After a reload that failed nobody else will load the model; a server that is away is being started again.
            return Finding.DEAD if self.unhealthy and await self._control.live(LEAST) else Finding.AWAY
        finally:
            tell_waiting(() if status is None else status.waiting, self._metrics)
        self._slowest_p99 = max(self._slowest_p99, status.p99_ms / 1000)
        self._mind_canary()
        if self._failures >= FAILURES:
            return Finding.FAILING
        return Finding.HUNG if is_hung(status, self._rules, self._slowest_p99) else Finding.HEALTHY

    async def _status(self, patience: float) -> StatusEvent:
        """Ask twice: a process that was merely kept from the processor for a second is back by then."""
        try:
            return await self._control.status(patience)
        except (ProcessDead, Unanswered):
            return await self._control.status(patience)

    def _mind_canary(self) -> None:
        """Take note of one that came back; send the next when it is due. There is never more than one."""
        now = time.monotonic()
        if self._canary is not None and self._canary.done():
            canary, self._canary = self._canary, None
            try:
                canary.result()
                self._failures = 0
            except (CanaryFailed, Away):
                self._metrics.count("omniguard_canaries_total", outcome="failed")
                self._failures += 1  # Away: a model that tells its status, and has room for a canary, says it cannot judge
            except ProcessDead:
                pass  # the next look at the status says the same
            self._canary_due = now + (self._rules.canary_every if self._failures == 0 else self._rules.interval)
        if self._canary is None and now >= self._canary_due:
            self._canary = asyncio.create_task(self._send_canary())

    async def _send_canary(self) -> None:
        with self._metrics.timed("omniguard_canary_duration_seconds"):
            await self._control.canary()
        self._answered()

    def _answered(self) -> None:
        self._metrics.count("omniguard_canaries_total", outcome="good")
        self._metrics.set("omniguard_canary_last_success_timestamp_seconds", time.time())

    async def _drop_canary(self) -> None:
        canary, self._canary = self._canary, None
        self._failures = 0
        if canary is not None:
            canary.cancel()
            await asyncio.gather(canary, return_exceptions=True)

    async def _heal(self, found: Finding) -> None:
        began = time.monotonic()
        log.error("the model is broken; its process is replaced", state=found.value)
        await self._drop_canary()
        if await self._reloaded():
            how = "reload"
        elif await self._ended():
            how = "restart"
        else:
            how = "nothing"
        self.unhealthy = how == "nothing"
        self._metrics.count("omniguard_model_heals_total", outcome=how)
        self._metrics.observe("omniguard_model_heal_seconds", time.monotonic() - began)
        log.warning("the fault was met", state=how, seconds=round(time.monotonic() - began, 1))
        if self.unhealthy:
            await asyncio.sleep(self._rules.retry_after)

    async def _reloaded(self) -> bool:
        """True if the model answers a canary after it."""
        try:
            if self._process is not None:
                self._process.kill_model()
            await self._control.reload(self._rules.unload_timeout, self._rules.load_timeout)
            async with asyncio.timeout(max(self._rules.warm_up, self._rules.silence(0.0))):
                await self._control.canary()
                self._answered()
        except (ReloadFailed, CanaryFailed, ProcessDead, Away, TimeoutError) as error:
            log.error("the reload did not mend the model", exc_info=error)
            return False
        return True

    async def _ended(self) -> bool:
        """True if Triton's process was ended, for whoever runs it to start it again."""
        return self._process is not None and await self._process.end(self._rules.exit_timeout)
