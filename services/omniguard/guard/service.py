"""The queue between Triton and an engine, the same for every engine: bound, priorities, deadlines, cancellation, test trigger.

Requests come from Triton's thread and are judged on one event loop in a thread of its own. Whatever happens to a request, it ends
with exactly one final event.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import itertools
import threading
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from omniguard.guard import requests
from omniguard.guard.answers import Answer, answer, vouching_for_test
from omniguard.guard.engine import Ask, Engine, Refusal
from omniguard.guard.pace import Pace
from omniguard.guard.wire import Capabilities, ErrorEvent, GuardErrorCode, Mode, Priority, StatusEvent

__all__ = ["GuardService", "Sender"]

_log = structlog.get_logger()
_POLL = 0.2
"""Seconds between looks at whether requests were cancelled: each look is a call between processes."""
_PATIENCE = 5.0
"""Seconds that closing waits for the loop."""

AnyEvent = Answer | ErrorEvent | Capabilities | StatusEvent


class Sender(Protocol):
    """Where a request's events go; called from one thread at a time. Neither method raises."""

    def send(self, event: AnyEvent) -> None:
        """Deliver one event; one with `final` set is the last."""

    def is_cancelled(self) -> bool:
        """True once the caller has gone."""
        ...


@dataclass(slots=True, eq=False)
class _Lane:
    slots: int
    running: int = 0
    waiting: list[tuple[int, int, _Job]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Job:
    """A request that the service holds; `arrived` is on the monotonic clock."""

    ask: Ask
    sender: Sender
    arrived: float
    task: asyncio.Task[None] | None = None
    alarm: asyncio.TimerHandle | None = None
    why: ErrorEvent | None = None
    over: bool = False
    started: float | None = None

    @property
    def canary(self) -> bool:
        """Sent by the supervisor, to see whether the engine answers."""
        return self.ask.request.priority == Priority.CANARY


class GuardService:
    """Holds at most `capacity` requests (the engine's `max_in_flight` if None), waiting ones included.

    A smaller priority goes first, equal ones in order of arrival; a lane never waits for another.
    """

    def __init__(self, engine: Engine, *, capacity: int | None = None) -> None:
        can = engine.capabilities()
        self._engine = engine
        self._can = can.model_copy(update={"assessed": vouching_for_test(can.assessed)})
        self._capacity = can.max_in_flight if capacity is None else capacity
        self._lanes = {name: _Lane(slots) for name, slots in engine.lanes.items()}
        self._jobs: set[_Job] = set()
        self._order = itertools.count()
        self._lock = threading.Lock()
        self._held = 0
        self._pace = Pace()
        self._open = True
        self._triggers = ThreadPoolExecutor(1, "guard-trigger")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name="guard-loop", daemon=True)
        self._thread.start()

    def submit(self, raw: bytes, media: Sequence[bytes], sender: Sender) -> None:
        """Take a request (the REQUEST element, the MEDIA elements); returns at once, from any thread, and never raises."""
        arrived = time.monotonic()
        elements = tuple(media)
        try:
            request = requests.parse(raw)
            requests.verify(request, elements, self._can)
        except Refusal as refusal:
            sender.send(_error(refusal.code, str(refusal)))
            return
        if request.mode is Mode.CAPABILITIES:
            sender.send(self._can)
            return
        if request.mode is Mode.STATUS:
            self._tell_status(sender)
            return
        job = _Job(Ask(request, elements), sender, arrived)
        with self._lock:
            if self._open and self._held < self._capacity + job.canary:  # room for one canary where nothing else gets in
                self._held += 1
                self._loop.call_soon_threadsafe(self._admit, job)
                return
        sender.send(
            _error(
                GuardErrorCode.UNAVAILABLE,
                f"the model holds {self._capacity} requests, its limit, or is closing; ask again later",
            )
        )

    def close(self) -> None:
        """End what is held with `unavailable`, then stop the loop and close the engine."""
        with self._lock:
            self._open = False
        self._loop.call_soon_threadsafe(self._shut)
        self._thread.join(_PATIENCE)
        self._triggers.shutdown(wait=False, cancel_futures=True)
        self._engine.close()

    def _tell_status(self, sender: Sender) -> None:
        """From the loop, so that a loop which is stuck says nothing."""

        def tell() -> None:
            job = next((job for job in self._jobs if job.canary), None)
            canary = None if job is None else (job.started or job.arrived, job.started)
            sender.send(self._pace.status(len(self._jobs), canary, self._waiting()))

        with self._lock:
            if self._open:
                self._loop.call_soon_threadsafe(tell)
                return
        sender.send(_error(GuardErrorCode.UNAVAILABLE, "the model is closing; ask another replica, or again later"))

    # Below: on the loop's thread only.

    def _waiting(self) -> list[tuple[int, float]]:
        """Priority and arrival of what has no place yet, and of labels that an engine took and cannot compute together."""
        jobs = [job for job in self._jobs if not job.canary]
        taken = [job for job in jobs if job.task is not None and job.ask.request.mode is Mode.LABEL]
        taken.sort(key=lambda job: (job.ask.request.priority, job.arrived))
        behind = taken[self._can.at_once :] if self._can.at_once is not None else []
        return [(job.ask.request.priority, job.arrived) for job in (*(job for job in jobs if job.task is None), *behind)]

    def _live(self) -> None:
        self._loop.call_soon(self._look_for_cancelled)
        self._loop.run_forever()
        self._loop.close()

    def _shut(self) -> None:
        for job in tuple(self._jobs):
            self._stop(job, GuardErrorCode.UNAVAILABLE, "the model is closing; ask another replica, or again later")
        tasks = asyncio.all_tasks(self._loop)
        ended = asyncio.gather(*tasks, return_exceptions=True) if tasks else None
        if ended is None:
            self._loop.stop()
        else:
            ended.add_done_callback(lambda _: self._loop.stop())

    def _admit(self, job: _Job) -> None:
        if not self._jobs:
            self._pace.moved()  # the silence so far was nobody's
        self._jobs.add(job)
        lane = self._lanes[self._engine.lane(job.ask.request)]
        if job.ask.request.deadline_ms is not None:
            left = job.arrived + job.ask.request.deadline_ms / 1000 - time.monotonic()
            if left <= 0:
                self._expire(job)
                return
            job.alarm = self._loop.call_later(left, self._expire, job)
        heapq.heappush(lane.waiting, (job.ask.request.priority, next(self._order), job))
        self._pump(lane)

    def _pump(self, lane: _Lane) -> None:
        while lane.waiting and lane.running < lane.slots:
            job = heapq.heappop(lane.waiting)[2]
            if job.over:  # expired or cancelled while it waited
                continue
            lane.running += 1
            job.task = self._loop.create_task(self._run(job))
            job.task.add_done_callback(functools.partial(self._left, job, lane))

    def _left(self, job: _Job, lane: _Lane, _task: asyncio.Task[None]) -> None:
        lane.running -= 1
        # A task that is cancelled before its first step never runs any of its own code, so the ending is sent from here.
        self._finish(job, job.why or _error(GuardErrorCode.INTERNAL, "the engine ended without a final event"))
        self._pump(lane)

    async def _run(self, job: _Job) -> None:
        job.started = started = time.monotonic()
        try:
            async for event in answer(self._engine, job.ask, self._triggers):
                self._deliver(job, event, started)
        except Refusal as refusal:
            if job.why is None:
                self._pace.moved()
            self._finish(job, _error(_told(refusal.code, job.ask.request.priority), str(refusal)))
        except Exception as error:  # noqa: BLE001 - one bad request must not end the loop; it becomes a typed event
            frames = [f"{f.name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)]
            self._pace.moved()
            _log.error("guard.engine_failed", error=type(error).__name__, frames=frames)  # no message: it may hold content
            self._finish(job, _error(GuardErrorCode.INTERNAL, f"the engine failed ({type(error).__name__}); its log says where"))

    def _deliver(self, job: _Job, event: Answer, started: float) -> None:
        usage = event.usage.model_copy(
            update={
                "queue_ms": round((started - job.arrived) * 1000, 3),
                "compute_ms": round((time.monotonic() - started) * 1000, 3),
                "in_flight": self._held,
            }
        )
        timed = event.model_copy(update={"usage": usage})
        self._pace.moved()
        if event.final:
            self._pace.answered(None if job.canary else usage.compute_ms)
            self._finish(job, timed)
        elif not job.over:
            job.sender.send(timed)

    def _expire(self, job: _Job) -> None:
        message = f"{job.ask.request.deadline_ms} ms have passed since the request arrived, while it was "
        self._stop(job, GuardErrorCode.DEADLINE, message + ("computed" if job.task else "waiting"))

    def _stop(self, job: _Job, code: GuardErrorCode, message: str) -> None:
        job.why = job.why or _error(code, message)
        job.ask.stopped.set()
        if job.task:
            job.task.cancel()
        else:
            self._finish(job, job.why)

    def _finish(self, job: _Job, event: AnyEvent) -> None:
        if job.over:
            return
        job.over = True
        if job.alarm:
            job.alarm.cancel()
        self._jobs.discard(job)
        with self._lock:
            self._held -= 1  # before sending: who has the answer may ask again at once
        job.sender.send(event)

    def _look_for_cancelled(self) -> None:
        for job in tuple(self._jobs):
            if job.why is None and job.sender.is_cancelled():
                self._stop(job, GuardErrorCode.CANCELLED, "the caller cancelled the request")
        self._loop.call_later(_POLL, self._look_for_cancelled)


def _told(code: GuardErrorCode, priority: int) -> GuardErrorCode:
    """An engine that has died tells uploads to wait, and whoever looks after the model that it has failed."""
    gone = code is GuardErrorCode.UNAVAILABLE and priority == Priority.CANARY
    return GuardErrorCode.INTERNAL if gone else code


def _error(code: GuardErrorCode, message: str) -> ErrorEvent:
    return ErrorEvent(code=code, message=message)
