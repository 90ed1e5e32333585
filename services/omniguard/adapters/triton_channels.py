"""gRPC channels to Triton: one for each address that the configured names lead to."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from omniguard.adapters.tls import tls_files
from omniguard.settings import TritonSettings

__all__ = ["ANSWER_LIMIT", "Access", "Channels", "Server"]

_REQUEST_LIMIT = 64 * 1024 * 1024
ANSWER_LIMIT = 4 * 1024 * 1024
"""Bytes of an answer, all its events together: more than the longest critique, sent token by token, has."""
_OPTIONS = (
    ("grpc.max_send_message_length", _REQUEST_LIMIT),
    ("grpc.max_receive_message_length", ANSWER_LIMIT),
    # Triton hangs up on peers that ping more often than every 300 s. The time-out is also how long TCP may leave what was sent
    # unacknowledged: with the questions of `Watch`, a peer that vanished under a request is found within seconds.
    ("grpc.keepalive_time_ms", 310_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # A server that restarts is found again soon; an address that swallows packets is given up after a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Channels do not share a connection: each address has one of its own, also where two names lead to it.
    ("grpc.use_local_subchannel_pool", 1),
)
_RETIRE_SECONDS = 60.0
_PATIENCE = 0.2
"""Seconds that a request which knows servers waits to hear of others."""
_RESTRICTED = "triton-grpc-protocol-"
"""What Triton puts before the KEY of `--grpc-restricted-protocol`."""


@dataclass(frozen=True, slots=True)
class Access:
    """How a client proves itself to Triton: TLS where there are credentials, and headers that open restricted protocols."""

    credentials: Any = None
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, settings: TritonSettings, *, admin: bool = False) -> Access:
        """As the settings say; `admin` adds the header for the model repository, which only a supervisor needs.

        Raises:
            Misconfigured: a TLS file cannot be read.

        """
        given = [(settings.restricted_key, settings.restricted_value)]
        if admin:
            given.append((settings.admin_key, settings.admin_value))
        headers = tuple((f"{_RESTRICTED}{key}", value.get_secret_value()) for key, value in given if value is not None)
        if not settings.tls:
            return cls(headers=headers)
        authorities, key, certificate = tls_files(settings, "triton")
        return cls(grpc.ssl_channel_credentials(authorities, key, certificate), headers)

    def channel(self, address: str, options: Sequence[tuple[str, Any]], host: str = "") -> Any:
        """To host:port. Where `address` is the number of a `host`, the certificate must name the host."""
        if self.credentials is None:
            return grpc.aio.insecure_channel(address, options=options)
        named = (("grpc.ssl_target_name_override", host),) if host else ()
        return grpc.aio.secure_channel(address, self.credentials, options=(*options, *named))

    def opening(self, call: Any) -> Any:
        """A call of a stub that sends the headers along."""
        if not self.headers:
            return call
        return lambda *request, metadata=(), **more: call(*request, metadata=(*metadata, *self.headers), **more)


@dataclass(frozen=True, slots=True)
class Server:
    """One address ("ip:port") with its channel. `infer` is the bidirectional ModelStreamInfer."""

    address: str
    channel: Any
    infer: Any


class Channels:
    """Channels to every address that the configured names lead to now; names are looked up again every `refresh` seconds."""

    def __init__(self, targets: Sequence[str], *, refresh: float = 10.0, access: Access | None = None) -> None:
        """`targets` are host:port; nothing is connected before the first request."""
        self._targets = tuple(targets)
        self._refresh = refresh
        self._access = access or Access()
        self._closed = False
        self._looked_up = float("-inf")
        self._looking: asyncio.Task[None] | None = None
        self._found: dict[str, list[str]] = {}
        self._servers: dict[str, Server] = {}
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def known(self) -> list[Server]:
        """All there were at the last look."""
        return list(self._servers.values())

    async def servers(self) -> list[Server]:
        """All there are now; empty while no name leads anywhere."""
        if time.monotonic() - self._looked_up >= self._refresh and not self._closed:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look_up())
            # A slow name service must not hold up requests that know somebody to ask.
            await asyncio.wait({self._looking}, timeout=_PATIENCE if self._servers else None)
            if self._looking.done() and not self._looking.cancelled():
                self._looking.result()  # raises what only a bug of ours raises
        return self.known

    async def close(self) -> None:
        """Close every channel; requests in flight are cancelled."""
        self._closed = True
        tasks = [*self._retiring, *([] if self._looking is None else [self._looking])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *(s.channel.close() for s in self._servers.values()), return_exceptions=True)
        self._servers.clear()

    async def _look_up(self) -> None:
        found = await asyncio.gather(*(_resolve(target) for target in self._targets))
        self._found |= {target: some for target, some in zip(self._targets, found, strict=True) if some is not None}
        # Of two names that lead to one address the first stands: the certificate must name it.
        addresses = {address: _host(target) for target in reversed(self._targets) for address in self._found.get(target, ())}
        if not addresses:
            return  # name service away: what was known is the better guess, and the next request asks again
        self._looked_up = time.monotonic()
        for gone in self._servers.keys() - addresses.keys():
            retiring = asyncio.create_task(_retire(self._servers.pop(gone)))
            self._retiring.add(retiring)
            retiring.add_done_callback(self._retiring.discard)
        for new in addresses.keys() - self._servers.keys():
            channel = self._access.channel(new, _OPTIONS, addresses[new])
            infer = self._access.opening(GRPCInferenceServiceStub(channel).ModelStreamInfer)
            self._servers[new] = Server(new, channel, infer)


def _host(target: str) -> str:
    return target.rpartition(":")[0].strip("[]")


async def _retire(server: Server) -> None:
    """Let requests in flight end on an address that the name no longer lists."""
    await server.channel.close(_RETIRE_SECONDS)


async def _resolve(target: str) -> list[str] | None:
    """host:port to ip:port, IPv4 first: "localhost" must not count as two servers. None where the name service cannot say now."""
    port = target.rpartition(":")[2]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(_host(target), int(port), type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return None if error.errno == socket.EAI_AGAIN else []
    v4 = [f"{address[0]}:{port}" for family, _, _, _, address in found if family is socket.AF_INET]
    return v4 or [f"[{address[0]}]:{port}" for family, _, _, _, address in found if family is socket.AF_INET6]
