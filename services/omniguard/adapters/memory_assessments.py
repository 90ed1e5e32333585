"""The in-memory twin of the Redis assessment store: one process, and nothing survives it but counts of attempts, if asked."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from omniguard.adapters.attempt_files import AttemptFiles
from omniguard.adapters.lru import Lru
from omniguard.domain.scores import Assessment, SegmentScore


class MemoryAssessmentStore:
    """`ports.AssessmentStore` in memory: at most `size` entries of each kind, each for `ttl` seconds."""

    def __init__(
        self,
        *,
        size: int = 4096,
        ttl: float = 7 * 86_400,
        monotonic: Callable[[], float] = time.monotonic,
        attempts: AttemptFiles | None = None,
    ) -> None:
        """Start empty. With `attempts` starts are counted in files, so that the count survives an event that kills its worker."""
        self._files = attempts
        self._assessments: Lru[Assessment] = Lru(size, ttl, monotonic)
        self._segments: Lru[SegmentScore] = Lru(size, ttl, monotonic)
        self._index: Lru[set[str]] = Lru(size, ttl, monotonic)
        self._deleted: Lru[int] = Lru(size, ttl, monotonic)
        self._flights: dict[str, asyncio.Event] = {}
        self._attempts: Counter[str] = Counter()

    async def get(self, key: str) -> Assessment | None:
        """A complete assessment."""
        return self._assessments.get(key)

    async def put(self, key: str, assessment: Assessment, *, content: str, version: int | None = None) -> None:
        """Keep one."""
        if self._noted(content, key, version):
            self._assessments.put(key, assessment)

    async def recall(self, key: str) -> SegmentScore | None:
        """A segment's memo."""
        return self._segments.get(key)

    async def remember(self, key: str, score: SegmentScore, *, content: str, version: int | None = None) -> None:
        """Memo one segment."""
        if self._noted(content, key, version):
            self._segments.put(key, score)

    async def forget(self, content: str, version: int | None = None) -> bool:
        """Drop all that was kept for a content."""
        if version is not None:
            known = self._deleted.get(content)
            self._deleted.put(content, version if known is None else max(known, version))
        for key in self._index.get(content) or ():
            self._assessments.drop(key)
            self._segments.drop(key)
        self._index.drop(content)
        return True

    async def deleted(self, content: str, version: int) -> bool:
        """Whether this version of a content was deleted."""
        return self._is_deleted(content, version)

    @asynccontextmanager
    async def single_flight(self, key: str, patience: float) -> AsyncIterator[bool]:
        """Enter with True to do the work; with False once another did it."""
        if (running := self._flights.get(key)) is not None:
            yield not await _finished(running, patience)
            return
        done = self._flights[key] = asyncio.Event()
        try:
            yield True
        finally:
            del self._flights[key]
            done.set()

    async def attempt(self, record: str) -> int:
        """Count a start of this record."""
        if self._files is not None:
            return self._files.add(record)
        self._attempts[record] += 1
        return self._attempts[record]

    async def attempts(self, record: str) -> int:
        """How many starts are counted."""
        return self._attempts[record] if self._files is None else self._files.count(record)

    async def give_back(self, record: str) -> None:
        """Count one start less."""
        if self._files is not None:
            self._files.take_back(record)
        self._attempts[record] -= 1
        if self._attempts[record] < 1:
            del self._attempts[record]

    async def settle(self, record: str) -> None:
        """Forget the count."""
        if self._files is not None:
            self._files.drop(record)
        self._attempts.pop(record, None)

    def _is_deleted(self, content: str, version: int) -> bool:
        known = self._deleted.get(content)
        return known is not None and version <= known

    def _noted(self, content: str, key: str, version: int | None) -> bool:
        """Index the key; False if the content was deleted."""
        if version is not None and self._is_deleted(content, version):
            return False
        keys = self._index.get(content) or set()
        keys.add(key)
        self._index.put(content, keys)
        return True


async def _finished(running: asyncio.Event, patience: float) -> bool:
    """True if the other's work ended within `patience` seconds."""
    try:
        async with asyncio.timeout(patience):
            await running.wait()
    except TimeoutError:
        return False
    return True
