"""/healthz, /readyz and /metrics of a worker.

Liveness asks one thing: would a restart help? Only if the broker answers, records wait, and nothing has moved for three event
time limits. What the worker depends on shows on /readyz and never restarts it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Protocol

import orjson
from aiohttp import web

from omniguard.errors import Misconfigured

PATIENCE = 3
"""Event time limits without any progress until a worker counts as stuck."""
CHECK_SECONDS = 5.0


class Stuck(Protocol):
    """Whatever knows whether a restart would help."""

    async def stuck(self) -> bool:
        """True if it would."""
        ...


class Liveness:
    """Notes progress, and judges whether the process is stuck."""

    def __init__(self, event_time_limit: float, records_wait: Callable[[], Awaitable[bool]]) -> None:
        """`event_time_limit` is in seconds; `records_wait` asks the broker, and takes long or raises where it is away."""
        self._limit = PATIENCE * event_time_limit
        self._records_wait = records_wait
        self._moved_at = monotonic()

    def progress(self) -> None:
        """Something was started, finished or deferred."""
        self._moved_at = monotonic()

    async def stuck(self) -> bool:
        """True if a restart would help."""
        if monotonic() - self._moved_at < self._limit:
            return False
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return await self._records_wait()
        except (TimeoutError, OSError):
            return False  # no answer from the broker: a restart would not help


@asynccontextmanager
async def health_server(
    host: str,
    port: int,
    *,
    liveness: Stuck,
    readiness: Callable[[], Mapping[str, bool]],
    metrics: Callable[[], bytes],
    away: Callable[[], Sequence[str]] = tuple,
    setting: str = "OMNIGUARD_WORKER__HEALTH_PORT",
) -> AsyncIterator[int]:
    """Serve until the block ends; gives the port.

    `readiness` names each dependency and whether it is there; `away` says in words what else is missing, which /readyz shows and
    does not count. `setting` is where the operator says `port`.
    """

    async def healthz(_: web.Request) -> web.Response:
        stuck = await liveness.stuck()
        return _json({"status": "stuck" if stuck else "ok"}, 503 if stuck else 200)

    async def readyz(_: web.Request) -> web.Response:
        state = dict(readiness())
        ready = all(state.values())
        missing = {"away": lines} if (lines := list(away())) else {}
        return _json({"status": "ready" if ready else "waiting", **state, **missing}, 200 if ready else 503)

    async def metrics_page(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics_page)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await _listen(runner, host, port, setting)
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int, setting: str) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise Misconfigured(
            f"the health server cannot listen on {host}:{port} ({error.strerror}): a second process on one host needs a port "
            f"of its own; set {setting} (0 takes a free one)"
        ) from error


def _json(body: Mapping[str, object], status: int) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")
