"""gRPC channels to Triton: one per address, and the order in which a request tries them."""

from __future__ import annotations

import asyncio
import hashlib
import random
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

__all__ = ["Channels", "Server", "rendezvous"]

_MESSAGE_LIMIT = 64 * 1024 * 1024
_OPTIONS = (
    ("grpc.max_send_message_length", _MESSAGE_LIMIT),
    ("grpc.max_receive_message_length", _MESSAGE_LIMIT),
    # Triton hangs up on peers that ping more often than every 300 s. A peer that vanished without a word costs a request its
    # deadline at worst; this finds it where there is none.
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


@dataclass(frozen=True, slots=True)
class Server:
    """One address ("ip:port") with its channel. `infer` is the bidirectional ModelStreamInfer."""

    address: str
    channel: Any
    infer: Any


def rendezvous(affinity: str, addresses: Sequence[str]) -> list[str]:
    """Addresses by highest random weight: a content keeps its server, and one that goes moves only its own contents.

    Without an affinity the order is random.
    """
    if not affinity:
        return random.sample(list(addresses), len(addresses))
    return sorted(addresses, key=lambda a: hashlib.blake2b(f"{affinity}\x00{a}".encode(), digest_size=8).digest(), reverse=True)


class Channels:
    """Channels to every address that the configured names lead to now; names are looked up again every `refresh` seconds."""

    def __init__(self, targets: Sequence[str], *, refresh: float = 10.0) -> None:
        """`targets` are host:port; nothing is connected before the first request."""
        self._targets = tuple(targets)
        self._refresh = refresh
        self._looked_up = float("-inf")
        self._servers: dict[str, Server] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()

    async def order(self, affinity: str) -> list[Server]:
        """Servers in the order to try; empty while no name leads anywhere."""
        async with self._lock:
            if time.monotonic() - self._looked_up >= self._refresh:
                await self._look_up()
        return [self._servers[address] for address in rendezvous(affinity, list(self._servers))]

    async def close(self) -> None:
        """Close every channel; requests in flight are cancelled."""
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*self._retiring, *(s.channel.close() for s in self._servers.values()), return_exceptions=True)
        self._servers.clear()

    async def _look_up(self) -> None:
        found = await asyncio.gather(*(_resolve(target) for target in self._targets))
        addresses = {address for some in found for address in some}
        if not addresses:
            return  # name service away: what was known is the better guess, and the next request asks again
        self._looked_up = time.monotonic()
        for gone in self._servers.keys() - addresses:
            retiring = asyncio.create_task(_retire(self._servers.pop(gone)))
            self._retiring.add(retiring)
            retiring.add_done_callback(self._retiring.discard)
        for new in addresses - self._servers.keys():
            channel = grpc.aio.insecure_channel(new, options=_OPTIONS)
            self._servers[new] = Server(new, channel, GRPCInferenceServiceStub(channel).ModelStreamInfer)


async def _retire(server: Server) -> None:
    """Let requests in flight end on an address that the name no longer lists."""
    await server.channel.close(_RETIRE_SECONDS)


async def _resolve(target: str) -> list[str]:
    """host:port to ip:port, IPv4 first: "localhost" must not count as two servers."""
    host, _, port = target.rpartition(":")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except socket.gaierror:
        return []
    v4 = [f"{address[0]}:{port}" for family, _, _, _, address in found if family is socket.AF_INET]
    return v4 or [f"[{address[0]}]:{port}" for family, _, _, _, address in found if family is socket.AF_INET6]
