"""The network between servers on one machine: a TCP front before each, which can be cut."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import psutil
import uvloop


class Links:
    """Fronts of numbered nodes, in a thread of their own.

    A cut node neither hears nor is heard: what is under way waits until `heal`, as behind a switch that drops packets; nobody is
    told. What the cut node sends to others is known by the ports that its process owns; what it sends to itself is not on the
    network. One thing is not as on a wire: a new connection is taken, and then silent.
    """

    def __init__(self, pid_of: Callable[[int], int | None]) -> None:
        """`pid_of` tells the process of a node, None where it does not run."""
        self._pid_of = pid_of
        self._cut: int | None = None
        self._ports: set[int] = set()
        """Ports that the cut node calls from."""
        self._loop = uvloop.new_event_loop()
        self._whole = asyncio.Event()
        self._whole.set()
        self._servers: list[asyncio.Server] = []
        self._relays: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)
        self._thread.start()

    def front(self, node: int, port: int, target: int) -> None:
        """Listen on `port` and pass on to the node's `target`."""

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._relays.add(task)
            task.add_done_callback(self._relays.discard)
            await self._relay(reader, writer, node, target)

        async def listen() -> None:
            self._servers.append(await asyncio.start_server(relay, "127.0.0.1", port))

        self._do(listen())

    def cut(self, node: int) -> None:
        """Part a node from all others and from every client."""
        self._do(self._set(node, self._calls_from(node)))

    def heal(self) -> None:
        """Let everything through again, what waited included."""
        self._do(self._set(None, set()))

    def close(self) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _set(self, node: int | None, ports: set[int]) -> None:
        self._cut, self._ports = node, ports
        (self._whole.set if node is None else self._whole.clear)()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for relay in tuple(self._relays):
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, node: int, target: int) -> None:
        caller = writer.get_extra_info("peername")[1]
        if self._cut is not None:
            self._ports |= await asyncio.to_thread(self._calls_from, self._cut)
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(self._pump(reader, inner_writer, node, caller), self._pump(inner_reader, writer, node, caller))
        finally:
            writer.close()
            inner_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, node: int, caller: int) -> None:
        with suppress(OSError, RuntimeError):  # uvloop's word for a transport that was closed meanwhile
            while True:
                data = await reader.read(65_536)
                while self._parted(node, caller):
                    await self._whole.wait()
                if not data:
                    break
                writer.write(data)
                await writer.drain()
        with suppress(OSError, RuntimeError):
            writer.close()

    def _parted(self, node: int, caller: int) -> bool:
        return self._cut is not None and (node == self._cut) != (caller in self._ports)

    def _calls_from(self, node: int) -> set[int]:
        pid = self._pid_of(node)
        if pid is None:
            return set()
        with suppress(psutil.NoSuchProcess):
            return {c.laddr.port for c in psutil.Process(pid).net_connections("tcp") if c.laddr}
        return set()
