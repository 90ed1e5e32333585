"""A steady flow of uploads, and how soon after a fault its answers come again."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

from aiokafka.errors import KafkaTimeoutError

from faults.harness import Installation

PATIENCE = 280.0
"""Seconds that a recovery may take before it counts as none: far above every time-out on the way."""
_ON_THE_WAY = 400


@dataclass(frozen=True, slots=True)
class Recovery:
    """Seconds from the fault to the first verdict of an event sent after it, on the slowest partition, and to a lag of zero."""

    first: float
    rest: float


class Flow:
    """Uploads to all partitions in turn, whether earlier ones were acknowledged or not. Use as an async context manager."""

    def __init__(self, installation: Installation, *, partitions: int, per_second: float = 20.0) -> None:
        self._installation, self._partitions, self._pause = installation, partitions, 1 / per_second
        self._sent: dict[str, tuple[int, float]] = {}
        self._seen = 0
        self._answered: dict[str, None] = {}
        self._on_the_way: set[asyncio.Task[None]] = set()

    @property
    def uploads(self) -> int:
        return len(self._sent)

    async def __aenter__(self) -> Flow:
        self._sending = asyncio.create_task(self._send())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sending.cancel()
        with suppress(asyncio.CancelledError):
            await self._sending
        for each in self._on_the_way:
            each.cancel()
        await asyncio.gather(*self._on_the_way, return_exceptions=True)

    async def runs(self, events: int = 30) -> None:
        """Wait until so many more events were answered."""
        before = len(self._answers())
        await self._installation.observer.until(
            lambda _: len(self._answers()) >= before + events, PATIENCE, f"{events} more answers"
        )

    async def recovery(self, fault: float) -> Recovery:
        """Wait for answers on every partition to what was sent after `fault` (monotonic), end the flow, and wait for the rest."""
        await self._installation.observer.until(lambda _: self._partitions_answered(fault), PATIENCE, "answers after the fault")
        first = time.monotonic() - fault
        self._sending.cancel()
        await asyncio.gather(self._sending, return_exceptions=True)
        if self._on_the_way:
            await asyncio.gather(*self._on_the_way)
        await self._installation.all_ended(self.uploads, PATIENCE)
        return Recovery(first, time.monotonic() - fault)

    def _partitions_answered(self, fault: float) -> bool:
        since = {self._sent[name][0] for name in self._answers() if self._sent[name][1] >= fault}
        return len(since) == self._partitions

    def _answers(self) -> dict[str, None]:
        verdicts = self._installation.observer.seen.verdicts
        for each in verdicts[self._seen :]:
            if each.content_id in self._sent:
                self._answered[each.content_id] = None
        self._seen = len(verdicts)
        return self._answered

    async def _send(self) -> None:
        while True:
            await asyncio.sleep(self._pause)
            if len(self._on_the_way) < _ON_THE_WAY:
                number = len(self._sent)
                name, partition = f"f{number}", number % self._partitions
                self._sent[name] = partition, time.monotonic()
                text = f"{'hateword' if number % 4 == 0 else 'hello'} {number}"
                task = asyncio.create_task(self._upload(name, text, partition))
                self._on_the_way.add(task)
                task.add_done_callback(self._on_the_way.discard)

    async def _upload(self, name: str, text: str, partition: int) -> None:
        """Again where the client found no room for it, behind others that wait for a silent broker: it was not sent then."""
        while True:
            with suppress(KafkaTimeoutError):
                await self._installation.upload(name, text, partition=partition)
                return
