"""A way to Redis that never raises and never makes one outage cost more than one time-out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

T = TypeVar("T")

CONNECT_SECONDS = 0.25
CALL_SECONDS = 0.5


def connect(url: str, *, cluster: bool = False) -> Redis:
    """A client with a short time-out to connect and no retries of its own. Nothing is sent before the first command.

    Commands have no limit here: `RedisLink` sets one over the whole call, and a second one on each read costs more than the read.

    A cluster's client takes the same commands, so it is typed as the plain one.
    """
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": None,
        "retry": Retry(NoBackoff(), 0),
    }
    if cluster:
        return cast("Redis", RedisCluster.from_url(url, **options))
    return Redis.from_url(url, **options)


class RedisLink:
    """Runs commands; a failure is the caller's default and one call of `on_error`.

    After a failure of the connection, commands are answered with their defaults at once. No command waits to find out
    whether Redis is back: from `pause` seconds on, a PING beside the commands does, and its answer closes the circuit.

    Kinds given to `on_error`: `timeout`, `connection`, `response` (Redis answered with an error), `skipped` (circuit open).
    """

    def __init__(
        self,
        client: Redis,
        on_error: Callable[[str], None],
        *,
        pause: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take over `client`: `close` closes it."""
        self._client = client
        self._on_error = on_error
        self._pause = pause
        self._monotonic = monotonic
        self._probe_from: float | None = None  # None: the circuit is closed
        self._probe: asyncio.Task[None] | None = None

    async def run(self, command: Callable[[Redis], Awaitable[T]], otherwise: T) -> T:
        """The command's result, or `otherwise`, within `CONNECT_SECONDS + CALL_SECONDS`."""
        if self._probe_from is not None:
            self._on_error("skipped")
            self._look()
            return otherwise
        try:
            async with asyncio.timeout(CONNECT_SECONDS + CALL_SECONDS):
                return await command(self._client)
        except (RedisTimeoutError, TimeoutError):
            self._open("timeout")
        except ResponseError:
            self._on_error("response")
        except (RedisError, RedisClusterException, OSError):
            self._open("connection")
        return otherwise

    async def close(self) -> None:
        """Close the client's connections."""
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.wait([self._probe])
        await self._client.aclose()

    def _open(self, kind: str) -> None:
        self._on_error(kind)
        self._probe_from = self._monotonic() + self._pause

    def _look(self) -> None:
        assert self._probe_from is not None
        if self._monotonic() >= self._probe_from and (self._probe is None or self._probe.done()):
            self._probe = asyncio.create_task(self._ping())

    async def _ping(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS + CALL_SECONDS):
                await self._client.execute_command("PING")  # type: ignore[no-untyped-call]
        except (RedisError, RedisClusterException, OSError):
            self._probe_from = self._monotonic() + self._pause
        else:
            self._probe_from = None
