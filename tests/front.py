"""One address before a server on loopback, as a Service of Kubernetes is. What parts brokers from each other is in links.py."""

from __future__ import annotations

import asyncio
import ssl

from origins import free_ports


class Front:
    """Relays to `target`, with every answer `delay` seconds late, or `nonsense` in its place. Use as an async context manager.

    A connection stays with the target it was made for, as behind any load balancer. With `tls`, callers must speak it.
    """

    def __init__(self, target: int, tls: ssl.SSLContext | None = None) -> None:
        self.target, self.delay, self.nonsense, self._tls = target, 0.0, b"", tls
        (self.port,) = free_ports(1)
        self._relays: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Front:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self.turn(1)

    async def turn(self, target: int) -> None:
        """Lead to another target, and close the connections to the old one; nobody listens on port 1."""
        self.target = target
        for relay in tuple(self._relays):
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._relays.add(task)
        task.add_done_callback(self._relays.discard)
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.target)
            try:
                await asyncio.gather(self._ask(reader, inner_writer), self._answer(inner_reader, writer))
            finally:
                inner_writer.close()
        except (OSError, asyncio.CancelledError):
            pass  # we end it, nobody listens there, or one side went away: the other is told by the close
        finally:
            writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await asyncio.sleep(self.delay)
            writer.write(self.nonsense or data)
            await writer.drain()
        writer.close()
