"""A way to Redis that never raises and never makes one outage cost more than one time-out."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, cast

import structlog
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    InvalidResponse,
    NoPermissionError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from omniguard.adapters.tls import is_hang_up, tls_context, tls_fault
from omniguard.errors import Misconfigured
from omniguard.settings import RedisSettings

log = structlog.get_logger(__name__)

T = TypeVar("T")

CONNECT_SECONDS = 0.25
CALL_SECONDS = 0.5
SLOW_SECONDS = 0.1
"""A call that takes longer is slow."""
SLOW_FOR_SECONDS = 1.0
"""Calls that were slow for so long, with none in time between them, are an outage: each event waits for several."""


def connect(url: str, *, cluster: bool = False, login: Mapping[str, Any] | None = None) -> Redis:
    """A client with a short time-out to connect and no retries of its own. Nothing is sent before the first command.

    `login` is what `login_options` gives; what the URL says itself comes before it. Commands have no limit here: `RedisLink`
    sets one over the whole call, and a second one on each read costs more than the read.

    A cluster's client takes the same commands, so it is typed as the plain one.
    """
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        **(login or {}),
    }
    if cluster:
        return cast("Redis", RedisCluster.from_url(url, **options))
    return Redis.from_url(url, **options)


def login_options(settings: RedisSettings) -> dict[str, Any]:
    """User, password and TLS as redis-py takes them. Holds the password: do not log it.

    Raises:
        Misconfigured: a TLS file cannot be read.

    """
    given: dict[str, Any] = {
        "username": settings.username,
        "password": settings.password.get_secret_value() if settings.password else None,
    }
    if settings.url is not None and settings.url.get_secret_value().startswith("rediss://"):
        tls_context(settings, "redis")  # tells at the start what the client would find out with every connection
        given |= {
            "ssl_ca_certs": None if settings.ca_file is None else str(settings.ca_file),
            "ssl_certfile": None if settings.cert_file is None else str(settings.cert_file),
            "ssl_keyfile": None if settings.key_file is None else str(settings.key_file),
            "ssl_check_hostname": settings.check_hostname,
            "ssl_min_version": ssl.TLSVersion.TLSv1_2,
        }
    return {name: value for name, value in given.items() if value is not None}


class RedisLink:
    """Runs commands; a failure is the caller's default and one call of `on_error`.

    After a failure of the connection, or a while of slow answers, commands are answered with their defaults at once. No command
    waits to find out whether Redis is back: from `pause` seconds on, a PING beside the commands does, and its answer in time
    closes the circuit.

    A replica that a failover left behind, or a peer that does not speak Redis, costs the connections to it: the address may lead
    to the new primary by now, and an open connection would stay with the old one for ever.

    Kinds given to `on_error`: `timeout`, `slow`, `connection`, `read_only`, `refused` (a login, a right or a certificate was),
    `response` (Redis answered with another error), `skipped` (circuit open).
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
        self._slow: tuple[float, float] | None = None  # since when, and the end of the first of the slow calls
        self._told: set[str] = set()

    async def run(self, command: Callable[[Redis], Awaitable[T]], otherwise: T) -> T:
        """The command's result, or `otherwise`, within `CONNECT_SECONDS + CALL_SECONDS`."""
        if self._probe_from is not None:
            self._on_error("skipped")
            self._look()
            return otherwise
        asked = self._monotonic()
        try:
            async with asyncio.timeout(CONNECT_SECONDS + CALL_SECONDS):
                answer = await command(self._client)
            self._judge_pace(asked)
            return answer
        except (RedisTimeoutError, TimeoutError):
            self._open("timeout")
        except ReadOnlyError:
            self._open("read_only")
            await self._hang_up()
        except InvalidResponse:
            self._open("connection")
            await self._hang_up()
        except NoPermissionError as error:
            self._on_error("refused")  # this command or key alone: others may be allowed
            self._tell(error)
        except ResponseError:
            self._on_error("response")
        except (RedisError, RedisClusterException, OSError) as error:
            if _is_refusal(error):
                self._open("refused")
                self._tell(error)
            else:
                self._open("connection")
        return otherwise

    @property
    def available(self) -> bool:
        """False while the circuit is open. Whoever asks has it looked at too: an idle worker sends no command that would."""
        if self._probe_from is not None:
            self._look()
        return self._probe_from is None

    async def close(self) -> None:
        """Close the client's connections."""
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.wait([self._probe])
        await self._client.aclose()

    def _tell(self, error: BaseException) -> None:
        """Say once why we are not let in; the metric goes on counting."""
        reason = _reason(error)
        if str(reason) not in self._told:
            self._told.add(str(reason))
            log.error("Redis does not let us in; what it refuses is a miss", exc_info=reason)

    def _open(self, kind: str) -> None:
        self._on_error(kind)
        if self._probe_from is None:
            log.warning("Redis is away: whatever it would know is a miss until it is back", state=kind)
        self._slow = None
        self._probe_from = self._monotonic() + self._pause

    def _judge_pace(self, asked: float) -> None:
        """Open the circuit once calls one after another were slow; several at once may have met one stall of our own."""
        now = self._monotonic()
        if now - asked < SLOW_SECONDS:
            self._slow = None
        elif self._slow is None:
            self._slow = (asked, now)
        elif asked >= self._slow[1] and now - self._slow[0] >= SLOW_FOR_SECONDS and self._probe_from is None:
            self._open("slow")

    async def _hang_up(self) -> None:
        """Close idle connections; those in use fail in the same way and are closed then."""
        if isinstance(self._client, Redis):  # a cluster's client finds its nodes anew by itself
            await self._client.connection_pool.disconnect(inuse_connections=False)

    def _look(self) -> None:
        assert self._probe_from is not None
        if self._monotonic() >= self._probe_from and (self._probe is None or self._probe.done()):
            self._probe = asyncio.create_task(self._ping())

    async def _ping(self) -> None:
        asked = self._monotonic()
        try:
            async with asyncio.timeout(CONNECT_SECONDS + CALL_SECONDS):
                await self._client.execute_command("PING")  # type: ignore[no-untyped-call]
        except (RedisError, RedisClusterException, OSError):
            self._probe_from = self._monotonic() + self._pause
        else:
            now = self._monotonic()
            if now - asked >= SLOW_SECONDS:
                self._probe_from = now + self._pause
            elif self._probe_from is not None:
                self._probe_from = None
                log.info("Redis is back")


async def number(answer: Awaitable[object]) -> int:
    """The answer to a command that counts.

    Raises:
        InvalidResponse: it is no number: the peer does not speak Redis.

    """
    found = await answer
    if not isinstance(found, int):
        raise InvalidResponse("found an answer that is no number, expected one")
    return found


def _is_refusal(error: BaseException) -> bool:
    return isinstance(error, AuthenticationError | AuthorizationError) or _tls_error(error) is not None


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """What TLS said, if that is behind the client's error."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return None if error is None or is_hang_up(error) else error


def _reason(error: BaseException) -> Misconfigured:
    if isinstance(error, NoPermissionError):
        said = "found a command or key refused, expected what docs/security.md lists to be allowed: correct the ACL user"
        return Misconfigured(f"Redis: {said}")
    if (tls := _tls_error(error)) is not None:
        return Misconfigured(tls_fault(tls, "Redis", "redis", "redis.url"))
    said = "found the login refused, expected it to be taken: correct user and password in redis.url_file or redis.password_file"
    return Misconfigured(f"Redis: {said}")
