"""One worker process, as the fault tests see it."""

from __future__ import annotations

import asyncio
import signal
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from faults.nursery import Process


class Worker:
    """One worker process. Its log is in `log`; a test that fails finds it below its tmp_path."""

    def __init__(self, process: Process, port: int, log: Path, control: Path) -> None:
        self._process, self.port, self.log, self._control = process, port, log, control

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.alive

    @property
    def code(self) -> int | None:
        return self._process.code

    @property
    def consuming(self) -> bool:
        return (self._control / f"ready-{self.pid}").exists()

    def signal(self, number: int) -> None:
        self._process.signal(number)

    async def kill(self) -> None:
        """As a lost node would: nothing of it runs any more when this returns."""
        self.signal(signal.SIGKILL)
        await self.gone()

    async def gone(self, seconds: float = 60.0) -> int:
        """Wait for its end; return the exit code."""
        await eventually(lambda: self.code is not None, seconds, f"the end of worker {self.pid}")
        assert self.code is not None
        return self.code

    async def get(self, page: str) -> int:
        """The status of a health page; 0 where nobody answers."""
        return await asyncio.to_thread(_status, f"http://127.0.0.1:{self.port}/{page}")

    async def page(self, page: str) -> bytes:
        """The body of a health page; empty where nobody answers."""
        return await asyncio.to_thread(_body, f"http://127.0.0.1:{self.port}/{page}")

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]


async def eventually(done: Callable[[], object], seconds: float, what: str) -> None:
    """Poll a condition."""
    try:
        async with asyncio.timeout(seconds):
            while not done():  # noqa: ASYNC110  another process makes it true
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"within {seconds} s: {what}") from None


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _body(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bytes(response.read())
    except OSError:
        return b""
