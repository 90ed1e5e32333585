"""A constant stream of uploads with a deadline, and what became of each; the promises themselves are `faults.invariants`."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
from aiokafka import AIOKafkaProducer

from faults.invariants import assert_kept
from faults.observer import Observer
from faults.tally import Tally
from omniguard.contracts.cloudevents import timestamp
from omniguard.contracts.content_event import CONTENT_EVENT
from omniguard.contracts.topics import Topics
from omniguard.contracts.verdict import VerdictData
from omniguard.domain.decision import Status
from omniguard.domain.lane import Lane

TENANT = "acme"
DEADLINE = 60.0
"""Seconds that an upload gives for its verdict."""
PATIENCE = 180.0
"""Seconds without what a test waits for, after which it has failed: far above every time-out on the way."""
_HARMLESS = "Sunday walk by the lake with the dogs. The weather was lovely and we had ice cream afterwards."
_HARMFUL = "I will come to your house with a gun and kill you all tonight."
_LOOK_SECONDS = 0.25
_EVERY = 4
"""Every so many-th upload of a stream is harmful."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One upload of the stream; `at` is on the monotonic clock."""

    partition: int
    at: float
    harmful: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a stream. `slowest` is the largest time in seconds from an upload to the verdict that ends it.

    `first` and `rest` are the seconds from a fault to a verdict, on the slowest partition, of an upload sent after it, and to the
    end of all: None where there was no fault.
    """

    events: int
    indeterminate: int
    duplicates: int
    slowest: float
    first: float | None = None
    rest: float | None = None

    def __str__(self) -> str:
        times = f", first verdict after {self.first:.1f} s, all after {self.rest:.1f} s" if self.first and self.rest else ""
        return (
            f"{self.events} uploads, 0 lost, {self.indeterminate} indeterminate, {self.duplicates} duplicates, "
            f"slowest {self.slowest:.1f} s{times}"
        )


class Noted(Tally):
    """The promises over everything on the topics, and each verdict of the stream."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, Sent] = {}
        self.said: list[VerdictData] = []
        self.ends: dict[str, float] = {}

    def verdict(self, said: VerdictData) -> None:
        super().verdict(said)
        if said.content_id in self.sent:
            self.said.append(said)
            if said.status is not Status.PROVISIONAL:
                self.ends.setdefault(said.content_id, time.monotonic())


class Uploads:
    """Uploads of texts to all partitions in turn, whatever comes back. Use as an async context manager; sends until `outcome`."""

    def __init__(self, bootstrap: str, *, partitions: int, per_second: float = 5.0) -> None:
        self._bootstrap, self._topics, self._partitions = bootstrap, Topics(), partitions
        self._pause = 1 / per_second
        self._run = uuid.uuid4().hex[:8]
        self._notes = Noted()
        self._sending = self._watching = True

    async def __aenter__(self) -> Uploads:
        self._producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, acks="all", enable_idempotence=True)
        await self._producer.start()
        self._observer = await Observer(self._bootstrap, self._topics, self._notes).__aenter__()
        self._sender, self._watcher = asyncio.create_task(self._send()), asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (self._sender, self._watcher):
            task.cancel()
        await asyncio.gather(self._sender, self._watcher, return_exceptions=True)
        await self._observer.__aexit__()
        await self._producer.stop()

    async def flows(self, more: int = 20) -> None:
        """Wait until so many more uploads have ended."""
        wanted = len(self._notes.ends) + more
        await self.until(lambda: len(self._notes.ends) >= wanted, f"{more} more verdicts")

    async def outcome(self, fault: float | None = None) -> Outcome:
        """End the stream, wait until all of it has ended, and assert what is promised of it."""
        first = None
        if fault is not None:
            await self.until(
                lambda: self._partitions_answered(fault), "verdicts of uploads sent after the fault, on every partition"
            )
            first = max(self._firsts(fault).values())
        self._sending = False
        await self._sender
        await self.until(lambda: len(self._notes.ends) >= len(self._notes.sent), "the verdicts of all uploads")
        rest = None if fault is None else max(self._notes.ends.values()) - fault
        self._watching = False
        await self._watcher
        await self._observer.until_committed(PATIENCE, tuple(Lane))
        await self._observer.read()
        return self._judged(first, rest)

    async def until(self, done: Callable[[], object], what: str) -> None:
        """Wait for a condition on what was seen, and fail where the stream itself has."""
        until = time.monotonic() + PATIENCE
        while not done():
            for task in (self._sender, self._watcher):
                if task.done():
                    task.result()
            left = [name for name in self._notes.sent if name not in self._notes.ends]
            assert time.monotonic() < until, (
                f"not within {PATIENCE:.0f} s: {what}; {len(self._notes.sent)} sent, without verdict: {left[:20]}"
            )
            await asyncio.sleep(_LOOK_SECONDS)

    def _judged(self, first: float | None, rest: float | None) -> Outcome:
        notes, sent = self._notes, self._notes.sent
        assert_kept(notes.report(), seed=0)
        assert not notes.suspects, f"suspected though nothing kills a worker: {notes.suspects}"
        wrong = [
            _shown(v) for v in notes.said if v.status is Status.FINAL and (v.action == "allow") is sent[v.content_id].harmful
        ]
        assert not wrong, f"wrong answers: {wrong}"
        unsure = {v.content_id for v in notes.said if v.status is Status.INDETERMINATE}
        slowest = max(notes.ends[name] - each.at for name, each in sent.items())
        duplicates = len(notes.said) - len({v.verdict_id for v in notes.said})
        return Outcome(len(sent), len(unsure), duplicates, slowest, first, rest)

    def _firsts(self, fault: float) -> dict[int, float]:
        """For each partition the seconds after the fault at which the first upload sent after it had its verdict."""
        firsts: dict[int, float] = {}
        for name, at in self._notes.ends.items():
            sent = self._notes.sent[name]
            if sent.at >= fault:
                firsts[sent.partition] = min(at - fault, firsts.get(sent.partition, float("inf")))
        return firsts

    def _partitions_answered(self, fault: float) -> bool:
        return len(self._firsts(fault)) == self._partitions

    async def _watch(self) -> None:
        while self._watching:
            await self._observer.read()
            await asyncio.sleep(_LOOK_SECONDS)

    async def _send(self) -> None:
        while self._sending:
            number = len(self._notes.sent)
            sent = Sent(number % self._partitions, time.monotonic(), number % _EVERY == 0)
            name = f"{self._run}-{number}"
            self._notes.sent[name] = sent
            text = f"{_HARMFUL if sent.harmful else _HARMLESS} ({name})"
            await send(self._producer, name, text, partition=sent.partition)
            await asyncio.sleep(max(0.0, sent.at + self._pause - time.monotonic()))


async def send(
    producer: AIOKafkaProducer,
    name: str,
    *texts: str,
    partition: int | None = None,
    parts: Sequence[dict[str, str]] = (),
    deadline: float = DEADLINE,
) -> None:
    """Upload a content to the live lane and wait until the broker has it."""
    now = datetime.now(UTC)
    data = {
        "tenant": TENANT,
        "content_id": name,
        "content_version": 1,
        "deadline": timestamp(now + timedelta(seconds=deadline)),
        "parts": [*({"id": f"t{n}", "modality": "text", "text": text} for n, text in enumerate(texts)), *parts],
    }
    event = {"specversion": "1.0", "type": CONTENT_EVENT, "source": "/cluster", "id": name, "time": timestamp(now), "data": data}
    await producer.send_and_wait(
        Topics().content(Lane.LIVE), orjson.dumps(event), f"{TENANT}|{name}".encode(), partition=partition
    )


def _shown(said: VerdictData) -> str:
    return f"{said.content_id} {said.status} {said.action}"
