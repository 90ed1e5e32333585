"""An object store, spoken to as a web server or as S3, that misbehaves for each object as its folder or bucket is named."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

from certificates import Authority
from media_files.pictures import png
from origins import free_ports

PICTURE = png(96, 96)
PLAIN_PICTURE = PICTURE + bytes(40_000)  # a PNG ends before its file does
_HEAD = b'Content-Type: image/png\r\nETag: "e"\r\nLast-Modified: Sat, 01 Jan 2022 00:00:00 GMT\r\nConnection: close\r\n'

Answer = Callable[[asyncio.StreamWriter, str], Awaitable[None]]


def _said(status: str, *headers: str, body: bytes = b"") -> Answer:
    async def answer(writer: asyncio.StreamWriter, path: str) -> None:
        more = "".join(f"{header}\r\n" for header in headers).encode()
        writer.write(f"HTTP/1.1 {status}\r\n".encode() + _HEAD + more + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    return answer


def _opened(length: int | None) -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + _HEAD + (b"" if length is None else b"Content-Length: %d\r\n" % length) + b"\r\n"


async def _drip(writer: asyncio.StreamWriter, path: str) -> None:
    writer.write(_opened(len(PLAIN_PICTURE)))
    for byte in PLAIN_PICTURE:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)


async def _drip_head(writer: asyncio.StreamWriter, path: str) -> None:
    for byte in _opened(len(PLAIN_PICTURE)):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)


async def _reset(writer: asyncio.StreamWriter, path: str) -> None:
    writer.write(_opened(len(PLAIN_PICTURE)) + PLAIN_PICTURE[:10_000])
    await writer.drain()
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # the close is a reset


async def _truncated(writer: asyncio.StreamWriter, path: str) -> None:
    writer.write(_opened(len(PLAIN_PICTURE)) + PLAIN_PICTURE[:10_000])


async def _cut(writer: asyncio.StreamWriter, path: str) -> None:
    writer.write(_opened(40) + PICTURE)


async def _endless(writer: asyncio.StreamWriter, path: str) -> None:
    writer.write(_opened(None))
    while True:
        writer.write(bytes(65_536))
        await writer.drain()


async def _hang(writer: asyncio.StreamWriter, path: str) -> None:
    await asyncio.Event().wait()


async def _loop(writer: asyncio.StreamWriter, path: str) -> None:
    await _said("302 Found", f"Location: {path}")(writer, path)


_WELL = _said("200 OK", body=PLAIN_PICTURE)
_ANSWERS: dict[str, Answer] = {
    "well": _WELL,
    "no-such": _said("404 Not Found"),
    "forbidden": _said("403 Forbidden"),
    "broken": _said("500 Internal Server Error"),
    "busy": _said("503 Slow Down", "Retry-After: 2"),
    "drip": _drip,
    "drip-head": _drip_head,
    "reset": _reset,
    "truncated": _truncated,
    "cut": _cut,
    "endless": _endless,
    "hang": _hang,
    "loop": _loop,
}
KINDS = (*_ANSWERS, "tls")


class BadStore:
    """Each kind has an address of its own, as a store of its own would. Use as an async context manager."""

    def __init__(self, folder: Path) -> None:
        self.healed = False
        self.port, self._tls_port = free_ports(2)
        files = Authority(folder / "tls", "unknown").issue("store", hosts=(self.host("tls"),))
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(files.cert, files.key)
        self._talks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> BadStore:
        hosts = [self.host(kind) for kind in KINDS]
        self._servers = [
            await asyncio.start_server(self._serve, hosts, self.port),
            await asyncio.start_server(self._serve, hosts, self._tls_port, ssl=self._tls),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        for talk in tuple(self._talks):
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    def host(self, kind: str) -> str:
        return f"127.0.1.{1 + KINDS.index(kind)}"

    def endpoint(self, kind: str) -> str:
        return f"https://{self.host(kind)}:{self._tls_port}" if kind == "tls" else f"http://{self.host(kind)}:{self.port}"

    def uri(self, scheme: str, kind: str, name: str) -> str:
        """Of an object, by `http` or `s3`."""
        return f"s3://{kind}/{name}" if scheme == "s3" else f"{self.endpoint(kind)}/{kind}/{name}"

    def rules(self) -> dict[str, object]:
        """A tenant's fetch rules that allow all of it."""
        buckets = [{"bucket": kind, "endpoint": self.endpoint(kind)} for kind in KINDS]
        return {"networks": ["127.0.0.0/8"], "s3": buckets, "max_redirects": 3, "max_bytes": 100_000}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split()[1].decode()
            await (_WELL if self.healed else _ANSWERS[path.split("/")[1]])(writer, path)
            await writer.drain()
        writer.close()
