"""A long run under faults drawn by a seed: workers killed, told to stop, joining and leaving, Redis and brokers disturbed.

What happens is tied to how many events have ended, not to a clock, and each kind of thing draws from a chance of its own:
a seed means the same on a fast machine and on a busy one.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, get_args

from cluster import NODES, Cluster
from faults.harness import Installation, Worker
from faults.meter import Meter
from faults.tally import Tally
from omniguard.devstack import Stack
from omniguard.domain.lane import Lane

Happening = Literal["kill", "rebalance", "redis", "broker"]
KINDS: tuple[Happening, ...] = get_args(Happening)
LANES = tuple(Lane)
STALL = 240.0
"""Seconds without a single event ending, after which the run has failed: far above every time-out on the way."""
_BACKLOG = 300
_BATCH = 25
_FEWEST, _MOST = 2, 4
_SESSION = "10"


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it. Redis and a broker are each disturbed once in eight kills, at least once."""

    events: int
    kills: int
    rebalances: int

    @classmethod
    def of_environment(cls) -> Size:
        """FAULTS_EVENTS, FAULTS_KILLS, FAULTS_REBALANCES; without them what `make test` has time for."""
        return cls(
            *(int(os.environ.get(f"FAULTS_{name}", least)) for name, least in (("EVENTS", 300), ("KILLS", 3), ("REBALANCES", 3)))
        )

    def plan(self, chance: random.Random) -> list[tuple[int, Happening]]:
        """What happens once so many events have ended, in order."""
        each = max(1, self.kills // 8)
        kinds: list[Happening] = ["kill"] * self.kills + ["rebalance"] * self.rebalances + ["redis"] * each + ["broker"] * each
        chance.shuffle(kinds)
        return sorted(zip(chance.sample(range(self.events // 50, self.events * 49 // 50), len(kinds)), kinds, strict=True))


class Storm:
    """One run on one installation. `run` ends when all that was uploaded has ended and every group's lag is zero."""

    def __init__(self, installation: Installation, tally: Tally, cluster: Cluster, redis: Stack, size: Size) -> None:
        self._installation, self._tally, self._cluster, self._redis, self._size = installation, tally, cluster, redis, size
        self._chances = {name: random.Random(f"{installation.seed} {name}") for name in ("plan", "upload", *KINDS)}
        self._fleet: list[tuple[Lane, Worker]] = []
        self._disturbance: asyncio.Task[None] | None = None
        self._uploaded = 0
        self._versions: dict[str, int] = {}
        self.did: dict[str, int] = {}
        """How often each thing was done."""

    async def run(self) -> None:
        plan = self._size.plan(self._chances["plan"])
        doing: dict[Happening, Callable[[], Awaitable[None]]] = {
            "kill": self._kill,
            "rebalance": self._rebalance,
            "redis": lambda: self._disturb(self._hurt_redis),
            "broker": lambda: self._disturb(self._hurt_broker),
        }
        with Meter(self._size.events) as self._meter:
            for lane in (Lane.LIVE, Lane.LIVE, Lane.LATE):
                await self._join(lane)
            feeding = asyncio.create_task(self._feed())
            try:
                for position, happening in plan:
                    await self._until(lambda position=position: self._tally.ended >= position, feeding)  # type: ignore[misc]
                    await doing[happening]()
                await self._until(feeding.done, feeding)
            finally:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)
            if self._disturbance is not None:
                await self._disturbance
            await self._until(lambda: self._tally.ended >= self._uploaded and not self._tally.open)
        await self._installation.observer.until_committed(STALL, LANES)
        await self._installation.observer.read()

    async def _feed(self) -> None:
        """Upload so much that workers are never idle, and no more."""
        while self._uploaded < self._size.events:
            while self._uploaded - self._tally.ended > _BACKLOG:  # noqa: ASYNC110  other processes end them
                await asyncio.sleep(0.02)
            size = min(_BATCH, self._size.events - self._uploaded)
            await asyncio.gather(*(self._upload() for _ in range(size)))

    async def _upload(self, text: str = "") -> None:
        """A new content, a further version of one, or, once in two hundred, bytes that nobody can read."""
        number, chance = self._uploaded, self._chances["upload"]
        self._uploaded += 1
        if not text and chance.random() < 0.005:
            await self._installation.raw(f"acme|unreadable{number}".encode(), b"\xff no event")
            return
        old = self._versions and chance.random() < 0.4
        content_id = chance.choice(list(self._versions)) if old else f"c{number}"
        version = self._versions.pop(content_id, 0) + 1
        self._versions[content_id] = version
        if len(self._versions) > 200:
            del self._versions[next(iter(self._versions))]
        await self._installation.upload(content_id, text or self._text(number), content_version=version)

    def _text(self, number: int) -> str:
        chance = self._chances["upload"]
        words = "hateword" if chance.random() < 0.25 else "good morning"
        draw = chance.random()
        if draw < 0.3:
            return words  # known to the cache
        return f"takes:{chance.uniform(0.2, 3):.1f} {words} {number}" if draw < 0.32 else f"{words} {number}"

    async def _join(self, lane: Lane = Lane.LIVE) -> None:
        worker = await self._installation.start(lane, wait=False, kafka__session_timeout=_SESSION)
        self._fleet.append((lane, worker))

    async def _kill(self) -> None:
        """A worker dies or is told to stop, and another takes its place."""
        chance = self._chances["kill"]
        lane, worker = chance.choice(self._fleet)
        self._fleet.remove((lane, worker))
        if chance.random() < 0.5:
            self._count("kill -9")
            await worker.kill()
        else:
            self._count("SIGTERM")
            await self._stop(worker)
        await self._join(lane)

    async def _rebalance(self) -> None:
        """A worker joins, or leaves in an orderly way, while slow events run."""
        chance = self._chances["rebalance"]
        for _ in range(4):
            await self._upload(f"takes:{chance.uniform(1, 5):.1f} hateword slow {self._uploaded}")
        live = [each for each in self._fleet if each[0] is Lane.LIVE]
        if len(live) <= _FEWEST or (len(live) < _MOST and chance.random() < 0.5):
            self._count("joined")
            await self._join()
        else:
            self._count("left")
            leaving = chance.choice(live)
            self._fleet.remove(leaving)
            await self._stop(leaving[1])

    async def _stop(self, worker: Worker) -> None:
        """The process is asked to end. One that has only just been forked knows no better than the signal's own way."""
        started = worker.consuming
        worker.signal(signal.SIGTERM)
        code = await worker.gone(120)
        assert code == 0 or (code == -signal.SIGTERM and not started), f"ended with {code}:\n{worker.tail()}"

    async def _disturb(self, hurt: Callable[[], Awaitable[None]]) -> None:
        """One disturbance at a time, while workers go on being killed."""
        if self._disturbance is not None:
            await self._disturbance
        self._disturbance = asyncio.create_task(hurt())  # type: ignore[arg-type]

    async def _hurt_redis(self) -> None:
        chance = self._chances["redis"]
        seconds = chance.uniform(1, 6)
        if chance.random() < 0.5:
            self._count("Redis hung")
            await asyncio.to_thread(self._redis.kill, "redis", signal.SIGSTOP)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self._redis.kill, "redis", signal.SIGCONT)
        else:
            self._count("Redis killed, its content lost")
            await asyncio.to_thread(self._redis.kill, "redis")
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self._redis.start, "redis")

    async def _hurt_broker(self) -> None:
        chance = self._chances["broker"]
        node, seconds = chance.choice(NODES), chance.uniform(3, 12)
        ways: dict[str, Callable[[int], None]] = {
            "broker stopped": self._cluster.stop,
            "broker killed": self._cluster.kill,
            "broker hung": self._cluster.freeze,
            "broker cut off": self._cluster.links.cut,
        }
        name = chance.choice([*ways, "leader moved"])
        self._count(name)
        if name == "leader moved":
            await self._cluster.move_leader(self._installation.topics.content(Lane.LIVE), 0)
            return
        await asyncio.to_thread(ways[name], node)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self._cluster.mend)
        await self._cluster.whole()

    async def _until(self, done: Callable[[], object], feeding: asyncio.Task[None] | None = None) -> None:
        """Read until the condition holds, and see that something moves."""
        best, since = self._tally.ended, time.monotonic()
        while not done():
            await self._installation.observer.read()
            self._meter.show(self._tally.ended, self.did)
            self._see_workers()
            for task in (feeding, self._disturbance):
                if task is not None and task.done():
                    task.result()
            if self._tally.ended > best:
                best, since = self._tally.ended, time.monotonic()
            assert time.monotonic() - since < STALL, self._stuck()
            await asyncio.sleep(0.05)

    def _see_workers(self) -> None:
        for _, worker in self._fleet:
            assert worker.alive, f"worker {worker.pid} ended by itself with {worker.code}:\n{worker.tail()}"

    def _stuck(self) -> str:
        tails = "\n".join(worker.tail() for _, worker in self._fleet)
        return f"nothing ended within {STALL} s; open: {list(self._tally.open.values())[:20]}; did {self.did}\n{tails}"

    def _count(self, what: str) -> None:
        self.did[what] = self.did.get(what, 0) + 1
