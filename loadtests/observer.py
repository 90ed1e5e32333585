"""Reads all that an installation answers: verdicts, dead letters, and what it passes to its slower lanes."""

from __future__ import annotations

import time
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer

from loadtests.reporter import Answer, Passed, Seen
from omniguard.contracts.topics import Topics
from omniguard.contracts.verdict import VerdictData, decode
from omniguard.domain.lane import Lane


class Observer:
    """Use as an async context manager; reads from the end of what is there when it opens."""

    def __init__(self, bootstrap: str, topics: Topics) -> None:
        self.seen = Seen()
        self._verdicts = topics.verdicts
        self._wheres = {
            topics.content(Lane.BACKFILL): "backfill",
            topics.content(Lane.LATE): "late",
            topics.dead_letters: "letter",
        }
        self._consumer = AIOKafkaConsumer(
            topics.verdicts, *self._wheres, bootstrap_servers=bootstrap, auto_offset_reset="latest", fetch_max_wait_ms=5
        )

    async def __aenter__(self) -> Observer:
        await self._consumer.start()
        for part in self._consumer.assignment():
            await self._consumer.position(part)  # a position that is fetched later may lie behind the first answers
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def watch(self, done: Callable[[], bool], patience: float) -> None:
        """Read until `done` holds, or until nothing has come for `patience` seconds."""
        quiet_since = time.perf_counter()
        while not done() and time.perf_counter() - quiet_since < patience:
            batch = await self._consumer.getmany(timeout_ms=200)
            at = time.perf_counter()
            for part, records in batch.items():
                quiet_since = at
                for record in records:
                    self._take(part.topic, record.key, record.value, dict(record.headers), at)

    def _take(self, topic: str, key: bytes | None, value: bytes | None, headers: dict[str, bytes], at: float) -> None:
        if topic == self._verdicts:
            said = decode(value, headers)
            reason = None if said.reason is None else said.reason.value
            answer = Answer(said.key, at, said.verdict_id, said.status.value, reason, said.cache.hit, coverage(said))
            self.seen.answers.append(answer)
        else:
            self.seen.passed.append(Passed((key or b"").decode(errors="replace"), at, self._wheres[topic]))


def coverage(said: VerdictData) -> float:
    """The share of an upload that was examined: of its seconds where it has any, else of its parts."""
    parts = said.coverage.values()
    seconds = sum(part.seconds or 0.0 for part in parts)
    if seconds:
        return sum(min(part.examined or 0.0, part.seconds or 0.0) for part in parts) / seconds
    return 0.0 if said.status == "indeterminate" or not parts else 1.0
