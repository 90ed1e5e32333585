"""Assessments, memos, single flights and attempts in Redis or Valkey, one server or a cluster."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import InvalidResponse

from omniguard.adapters.attempt_files import AttemptFiles
from omniguard.adapters.lru import Lru
from omniguard.adapters.redis_link import RedisLink, connect, number
from omniguard.contracts.topics import RECORD_DAYS
from omniguard.domain.cache_keys import attempts_key, deleted_key, flight_key, index_key
from omniguard.domain.scores import Assessment, SegmentScore

T = TypeVar("T")

_TAG = b"1\n"  # of the values' layout: a value with another tag is a miss
_ASSESSMENT = TypeAdapter(Assessment)
_SEGMENT = TypeAdapter(SegmentScore)
_COUNT = "local n = redis.call('INCR', KEYS[1]) redis.call('EXPIRE', KEYS[1], ARGV[1]) return n"
_UNCOUNT = (
    "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end "
    "if redis.call('DECR', KEYS[1]) < 1 then redis.call('DEL', KEYS[1]) end return 1"
)
_MARK = (
    "if tonumber(redis.call('GET', KEYS[1]) or -1) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end "
    "return redis.call('PEXPIRE', KEYS[1], ARGV[2])"
)
_RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Times in seconds.

    A value lives `ttl` times a random factor within ± `jitter`, so that what was written together does not expire together.
    `local_*` bound the assessments kept in the process: a deletion on another worker is seen here after `local_ttl`.
    A flight's `lease` ends by itself if its holder dies. A deletion is known for `deleted_ttl`, as long as a lane may hold a copy
    of the upload.
    """

    ttl: float = 7 * 86_400
    jitter: float = 0.1
    local_size: int = 256
    local_ttl: float = 30.0
    lease: float = 5.0
    attempts_ttl: int = 86_400
    deleted_ttl: float = RECORD_DAYS * 86_400


class RedisAssessmentStore:
    """`ports.AssessmentStore` on Redis. With Redis away every method is a miss, in bounded time, and counts in `on_error`.

    Kinds given to `on_error`: those of `RedisLink`, `value` (a stored value could not be read) and `state` (the state folder
    could not be written).
    """

    def __init__(
        self,
        client: Redis,
        *,
        state: Path,
        on_error: Callable[[str], None],
        settings: StoreSettings | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take over `client` (see `redis_link.connect`); keep attempts below `state` too.

        Raises:
            Misconfigured: `state` cannot be written.

        """
        self._settings = settings or StoreSettings()
        self._link = RedisLink(client, on_error, monotonic=monotonic)
        self._on_error = on_error
        self._monotonic = monotonic
        self._files = AttemptFiles(state, on_error, self._settings.attempts_ttl)
        self._local: Lru[Assessment] = Lru(self._settings.local_size, self._settings.local_ttl, monotonic)

    @classmethod
    def at(
        cls,
        url: str,
        *,
        state: Path,
        on_error: Callable[[str], None],
        settings: StoreSettings | None = None,
        cluster: bool = False,
        login: Mapping[str, Any] | None = None,
    ) -> RedisAssessmentStore:
        """A store at `redis://`, `rediss://` or `unix://`; `cluster` where the address is one node of a Redis Cluster.

        `login` is what `redis_link.login_options` gives.
        """
        return cls(connect(url, cluster=cluster, login=login), state=state, on_error=on_error, settings=settings)

    @property
    def available(self) -> bool:
        """False while calls are answered as misses without asking, because Redis is away."""
        return self._link.available

    async def close(self) -> None:
        """Close the connections."""
        await self._link.close()

    async def get(self, key: str) -> Assessment | None:
        """A complete assessment."""
        if (known := self._local.get(key)) is not None:
            return known
        found = await self._read(key, _ASSESSMENT)
        if found is not None:
            self._local.put(key, found)
        return found

    async def put(self, key: str, assessment: Assessment, *, content: str, version: int | None = None) -> None:
        """Keep one."""
        self._local.put(key, assessment)
        if not await self._write(key, assessment, content, version):
            self._local.drop(key)

    async def recall(self, key: str) -> SegmentScore | None:
        """A segment's memo."""
        return await self._read(key, _SEGMENT)

    async def remember(self, key: str, score: SegmentScore, *, content: str, version: int | None = None) -> None:
        """Memo one segment."""
        await self._write(key, score, content, version)

    async def forget(self, content: str, version: int | None = None) -> bool:
        """Drop all that was kept for a content; True once Redis has. What it could not drop expires with its time."""
        self._local.clear()
        ttl = round(self._settings.deleted_ttl * 1000)

        async def forget(redis: Redis) -> bool:
            # The mark comes first: whoever writes after the index was read finds it.
            if version is not None:
                await number(redis.eval(_MARK, 1, deleted_key(content), version, ttl))
            await _drop(redis, index_key(content))
            return True

        return await self._link.run(forget, otherwise=False)

    async def deleted(self, content: str, version: int) -> bool:
        """Whether this version of a content was deleted."""
        return await self._link.run(lambda redis: _is_deleted(redis, content, version), otherwise=False)

    @asynccontextmanager
    async def single_flight(self, key: str, patience: float) -> AsyncIterator[bool]:
        """Enter with True to do the work; with False once another did it, or died of it: look again, then work."""
        lease, token = flight_key(key), secrets.token_hex(16)
        if not await self._take(lease, token):
            yield not await self._ended(lease, patience)
            return
        renewal = asyncio.create_task(self._renew(lease, token))
        try:
            yield True
        finally:
            renewal.cancel()
            await asyncio.wait([renewal])
            await self._link.run(lambda redis: redis.eval(_RELEASE, 1, lease, token), None)

    async def attempt(self, record: str) -> int:
        """Count a start in Redis, or in the state folder while Redis is away; the sum of both holds."""
        ttl = self._settings.attempts_ttl
        there = await self._link.run(lambda redis: number(redis.eval(_COUNT, 1, attempts_key(record), ttl)), 0)
        return there + (self._files.count(record) if there else self._files.add(record))

    async def attempts(self, record: str) -> int:
        """How many starts are counted, there and here."""
        found = await self._link.run(lambda redis: redis.get(attempts_key(record)), None)
        there = int(found) if isinstance(found, bytes) and found.isdigit() else 0
        return there + self._files.count(record)

    async def give_back(self, record: str) -> None:
        """Count one start less, wherever one is counted."""
        if not await self._link.run(lambda redis: number(redis.eval(_UNCOUNT, 1, attempts_key(record))), 0):
            self._files.take_back(record)

    async def settle(self, record: str) -> None:
        """Forget the count."""
        self._files.drop(record)
        await self._link.run(lambda redis: redis.unlink(attempts_key(record)), None)

    async def _read(self, key: str, kind: TypeAdapter[T]) -> T | None:
        raw = await self._link.run(lambda redis: redis.get(key), None)
        if raw is None:
            return None
        try:
            if isinstance(raw, bytes) and raw.startswith(_TAG):
                return kind.validate_json(raw[len(_TAG) :])
        except ValidationError:
            pass  # counted below, like a tag that is not ours
        self._on_error("value")
        return None

    async def _write(self, key: str, value: Assessment | SegmentScore, content: str, version: int | None) -> bool:
        """False if the content was deleted meanwhile, and nothing is kept."""
        raw = _TAG + orjson.dumps(value, default=dict)  # a Mapping that is no dict
        ttl = self._settings.ttl * random.uniform(1 - self._settings.jitter, 1 + self._settings.jitter)  # noqa: S311
        longest = self._settings.ttl * (1 + self._settings.jitter)

        async def write(redis: Redis) -> bool:
            async with redis.pipeline(transaction=False) as pipe:
                # The index comes first: a value that `forget` cannot find must not exist.
                pipe.sadd(index_key(content), key)
                pipe.pexpire(index_key(content), round(longest * 1000))
                pipe.set(key, raw, px=round(ttl * 1000))
                # Behind the write: a deletion before this found the key in the index, or is seen here; a later one finds it.
                pipe.get(deleted_key(content))
                *_, mark = await pipe.execute()
            if isinstance(redis, RedisCluster):  # each of its servers runs its share in its own time
                mark = await redis.get(deleted_key(content))
            if version is None or not _covers(mark, version):
                return True
            await redis.unlink(key)
            await redis.srem(index_key(content), key)
            return False

        return await self._link.run(write, otherwise=True)

    async def _take(self, lease: str, token: str) -> bool:
        """True if the lease is ours, or nobody can tell."""
        ms = round(self._settings.lease * 1000)

        async def take(redis: Redis) -> bool:
            return bool(await redis.set(lease, token, nx=True, px=ms))

        return await self._link.run(take, otherwise=True)

    async def _renew(self, lease: str, token: str) -> None:
        ms = round(self._settings.lease * 1000)
        while True:
            await asyncio.sleep(self._settings.lease / 3)
            await self._link.run(lambda redis: redis.eval(_RENEW, 1, lease, token, ms), None)

    async def _ended(self, lease: str, patience: float) -> bool:
        """True once the lease is gone; False after `patience` seconds, or when Redis does not answer."""
        ends, pause = self._monotonic() + patience, 0.01
        while (left := ends - self._monotonic()) > 0:
            await asyncio.sleep(min(pause * random.uniform(0.5, 1.0), left))  # noqa: S311
            pause = min(pause * 2, 0.1)
            held = await self._link.run(lambda redis: number(redis.exists(lease)), otherwise=-1)
            if held <= 0:
                return held == 0
        return False


async def _is_deleted(redis: Redis, content: str, version: int) -> bool:
    return _covers(await redis.get(deleted_key(content)), version)


def _covers(mark: object, version: int) -> bool:
    """Whether the mark of a deletion, None where there is none, says that this version is deleted."""
    if mark is None:
        return False
    if not isinstance(mark, bytes) or not mark.isdigit():
        raise InvalidResponse("found a mark of a deletion that is no number, expected one")
    return version <= int(mark)


async def _drop(redis: Redis, index: str) -> None:
    """Drop the keys of an index and take them off it; a key that is added meanwhile stays indexed."""
    members = await redis.smembers(index)
    if not isinstance(members, set):
        raise InvalidResponse("found an answer that is no set, expected one")
    keys = list(members)
    if not keys:
        return
    async with redis.pipeline(transaction=False) as pipe:
        for key in keys:  # one command a key: a cluster refuses a command over several slots
            pipe.execute_command("UNLINK", key)  # a cluster's pipe.unlink only returns a coroutine
        pipe.srem(index, *keys)
        await pipe.execute()
