"""A guard for load tests without weights: one accelerator that labels in batches, by priority, at a cost a label.

Labels of one batch come back together, after the cost of all of them: what an accelerator at its limit does. The words of the
shipped twin decide what is harmful.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Sequence
from pathlib import Path

from omniguard.adapters.memory_guard import MemoryGuard
from omniguard.errors import Reason, Retryable
from omniguard.guard.wire import GuardRequest, Mode
from omniguard.observability import METRICS

BATCH = 8
SLOW = "slow"
"""A file in the control folder; the number in it is how many times as long labels take while it is there."""


class PacedGuard(MemoryGuard):
    """The shipped twin behind an accelerator of its own."""

    def __init__(self, label_ms: float, control: Path) -> None:
        """`label_ms` is the accelerator's time for a label; `control` is the folder of SLOW."""
        super().__init__({"harm": ("violent_crimes", 0.97)})
        self._seconds, self._slow = label_ms / 1000, control / SLOW
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._stepping: asyncio.Task[None] | None = None

    async def _answer(self, request: GuardRequest, media: Sequence[bytes], affinity: str) -> None:  # noqa: ARG002
        if request.mode is Mode.CAPABILITIES:
            return
        done = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (request.priority, next(self._order), done))
        if self._stepping is None or self._stepping.done():
            self._stepping = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(None if request.deadline_ms is None else request.deadline_ms / 1000):
                await done
        except TimeoutError:
            raise Retryable(Reason.DEADLINE, "the load test's guard had no place for it within its deadline") from None

    async def _run(self) -> None:
        while self._waiting:
            ready = [heapq.heappop(self._waiting)[2] for _ in range(min(BATCH, len(self._waiting)))]
            taken = [done for done in ready if not done.done()]
            seconds = self._seconds * self._factor()
            await asyncio.sleep(seconds * len(taken))
            for done in taken:
                METRICS.observe("omniguard_guard_duration_seconds", seconds, mode="label", stage="full")
                if not done.done():
                    done.set_result(None)

    def _factor(self) -> float:
        try:
            return float(self._slow.read_text())
        except FileNotFoundError:
            return 1.0
