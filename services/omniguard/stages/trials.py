"""Trials: an upload under way when the guard's process died is asked about again with nothing else beside it.

Deaths with an upload under way are counted in the store, hence over workers and lanes. Who did not cause them is answered at the
next try; who did dies alone, so that nobody else is counted, and after a few deaths is touched no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from omniguard.errors import BadContent, ModelDied, Reason
from omniguard.ports import AssessmentStore

log = structlog.get_logger("omniguard.trials")
T = TypeVar("T")

MAX_DEATHS = 3
"""Deaths with an upload under way, the last of them alone, after which it is not asked about again."""
_TURN_SECONDS = 60.0
"""The longest wait for a trial in another worker."""


@dataclass(slots=True, eq=False)
class Suspicion:
    """What is known of one upload. `key` names it in the store; `recall`: deaths may have been counted elsewhere, so look."""

    key: str
    recall: bool = False
    deaths: int = 0
    counted: set[str] = field(default_factory=set)
    verdict: BadContent | None = None

    @property
    def suspected(self) -> bool:
        """Under way in a death at least."""
        return self.deaths > 0 or bool(self.counted)


class Trials:
    """Of the requests of one process to one model."""

    def __init__(self, store: AssessmentStore, *, name: str) -> None:
        """`name` is the model's: trials of one model wait for each other, in whatever worker they are."""
        self._store, self._flight = store, f"trial/{name}"
        self._room = _Room()

    async def ask(self, suspicion: Suspicion, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer of `ask`, which is called once for every death that is survived.

        Raises:
            BadContent: crash_suspect.

        """
        if suspicion.recall:
            suspicion.recall = False
            suspicion.deaths = max(suspicion.deaths, await self._store.attempts(suspicion.key))
        while suspicion.verdict is None:
            alone = suspicion.suspected
            try:
                async with self._alone() if alone else self._room.together():
                    if suspicion.verdict is None:  # another segment of the same upload may have settled it meanwhile
                        return await ask()
            except ModelDied as died:
                await self._count(suspicion, died, alone=alone)
        raise suspicion.verdict

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """With no other request of this process to this model, and no other trial of it anywhere."""
        while True:
            async with self._store.single_flight(self._flight, _TURN_SECONDS) as ours:
                if ours:
                    async with self._room.alone():
                        yield
                    return

    async def _count(self, suspicion: Suspicion, died: ModelDied, *, alone: bool) -> None:
        if died.death in suspicion.counted:  # another segment of the same upload was under way as well
            return
        suspicion.counted.add(died.death)
        suspicion.deaths = max(suspicion.deaths + 1, await self._store.attempt(suspicion.key))
        log.warning("the guard's process died with an upload under way", deaths=suspicion.deaths, alone=alone)
        if alone and suspicion.deaths >= MAX_DEATHS:
            suspicion.verdict = BadContent(
                Reason.CRASH_SUSPECT,
                f"the guard's process died {suspicion.deaths} times while this upload was under way, at last while nothing else "
                "was, so it is not asked about again; replay it from the dead letters once the cause is mended",
            )
            await self._store.settle(suspicion.key)  # so that a replay begins anew


class _Room:
    """For many together, or for one alone; who wants it alone goes first, in order of arrival."""

    def __init__(self) -> None:
        self._inside = self._wanted_alone = 0
        self._turn = asyncio.Lock()
        self._empty, self._free = asyncio.Event(), asyncio.Event()
        self._empty.set()
        self._free.set()

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        while self._wanted_alone:
            await self._free.wait()
        self._inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        self._wanted_alone += 1
        self._free.clear()
        try:
            async with self._turn:
                await self._empty.wait()
                yield
        finally:
            self._wanted_alone -= 1
            if not self._wanted_alone:
                self._free.set()
