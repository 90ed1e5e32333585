"""Places to fetch media from, real and on loopback: an HTTP server, an S3 store, a folder, and the in-memory twin."""

from __future__ import annotations

import http.server
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import obstore
import pytest
from aiohttp import web
from obstore.exceptions import BaseError
from obstore.store import S3Store

from omniguard.adapters.fetch_s3 import S3Credentials
from omniguard.domain.fetching import FetchRules, S3Source
from omniguard.ports import MediaStore

KEYS = S3Credentials("key", "secret")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Origin:
    """A store, the rules that allow this place, and how to put an object there; `put` returns its URI."""

    store: MediaStore
    rules: FetchRules
    put: Callable[[str, bytes], str]


@dataclass
class WebServer:
    """An HTTP server with one handler for all paths, which counts requests."""

    host: str
    port: int
    seen: list[str] = field(default_factory=list)

    def url(self, path: str, host: str = "") -> str:
        """URL of a path, by another name of this host if given."""
        return f"http://{host or self.host}:{self.port}/{path}"


@asynccontextmanager
async def web_server(handler: Handler, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[WebServer]:
    """Serve on a loopback address; port 0 takes a free one."""

    async def counted(request: web.Request) -> web.StreamResponse:
        server.seen.append(request.path)
        return await handler(request)

    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{path:.*}", counted)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    server = WebServer(host, runner.addresses[0][1])
    try:
        yield server
    finally:
        await runner.cleanup()


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Ports that were free a moment ago."""
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind((host, 0))
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


@dataclass(frozen=True)
class S3Server:
    """A real S3 store with one identity (`KEYS`)."""

    endpoint: str
    process: subprocess.Popen[bytes]

    def bucket(self, name: str) -> S3Store:
        """A bucket, which the first object written makes."""
        return S3Store(
            name,
            region="us-east-1",
            endpoint=self.endpoint,
            access_key_id=KEYS.access_key_id,
            secret_access_key=KEYS.secret_access_key,
            client_options={"allow_http": True},
        )

    def source(self, bucket: str, prefix: str = "", credentials: str | None = "reader") -> S3Source:
        """What an operator would list."""
        return S3Source(bucket, prefix, self.endpoint, "us-east-1", credentials)


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """SeaweedFS, with every port of its own: ports are chosen again if one was taken meanwhile."""
    identity = {"accessKey": KEYS.access_key_id, "secretKey": KEYS.secret_access_key}
    actions = ["Read", "Write", "List", "Admin"]
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [{"name": "reader", "credentials": [identity], "actions": actions}]}))
    for _ in range(3):
        if server := _start_s3(folder, config):
            break
    else:
        raise AssertionError(f"the S3 store did not start: {(folder / 's3.log').read_text()[-2000:]}")
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 store. Shared between tests: use keys of your own."""
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


def _start_s3(folder: Path, config: Path) -> S3Server | None:
    flags = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
    *ports, port, grpc = free_ports(len(flags) + 2)
    options = [
        *(f"-{flag}={number}" for flag, number in zip(flags, ports, strict=True)),
        *(f"-s3.port={port}", f"-s3.port.grpc={grpc}", "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={config}"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=64", "-master.volumeSizeLimitMB=64", "-filer", "-s3"),
    ]
    data = folder / f"s3-{port}"
    data.mkdir()
    with (folder / "s3.log").open("wb") as log:
        command = [str(Path(sys.executable).parent / "weed"), "-logtostderr", "server", f"-dir={data}", *options]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    server = S3Server(f"http://127.0.0.1:{port}", process)
    ends = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < ends:
        try:
            obstore.put(server.bucket("ready"), "probe", b"1")
        except (BaseError, OSError):
            time.sleep(0.2)
        else:
            return server
    process.kill()
    process.wait()
    return None


@contextmanager
def trapped() -> Iterator[tuple[str, list[str]]]:
    """An HTTP server that nothing may call, and the list of those who did."""
    calls: list[str] = []

    class Trap(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            calls.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Trap)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/segment.ts", calls
    server.shutdown()
    thread.join()
    server.server_close()
