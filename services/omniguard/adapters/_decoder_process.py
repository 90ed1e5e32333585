"""One decoder process and the conversation with it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

import omniguard
from omniguard.errors import BadContent, Misconfigured, Reason
from omniguard.media.framing import PREFIX, BrokenFrame, lengths, pack
from omniguard.media.limits import DecodeLimits

ENTRY = "omniguard.media.child"
_PACKAGE_ROOT = Path(omniguard.__file__).parent.parent
_LONGEST_MESSAGE = 500


class DiedIdle(Exception):
    """The process was gone before it began: the request is as good as new."""


class DecoderProcess:
    """A child that decodes one file at a time. It inherits no environment, hence no credentials."""

    def __init__(self, process: asyncio.subprocess.Process, limits: DecodeLimits) -> None:
        """Wrap a started child; use `start`."""
        self._process = process
        self._limits = limits
        self._busy = False
        self.tasks = 0
        self.sandbox: tuple[str, ...] = ()
        """The parts of the sandbox that it has put on, once it has begun a request."""
        self.cause = "dropped"
        """Why it ended, or is of no more use: a `cause` of `omniguard_decoder_exits_total`."""

    @classmethod
    async def start(cls, limits: DecodeLimits, folder: Path) -> DecoderProcess:
        """Start a child that reads media below `folder`.

        Raises:
            Misconfigured: the interpreter cannot be started.

        """
        command = (sys.executable, "-P", "-s", "-m", ENTRY, orjson.dumps(asdict(limits)).decode(), str(folder))
        environment = {"PYTHONPATH": str(_PACKAGE_ROOT), "LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"}
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, env=environment
            )
        except OSError as error:
            raise Misconfigured(f"a decoder process could not be started ({os.strerror(error.errno or 0)})") from error
        return cls(process, limits)

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._process.pid

    @property
    def usable(self) -> bool:
        """True between two files, while the child lives."""
        return not self._busy and self._process.returncode is None

    async def ask(self, request: Mapping[str, Any], seconds_left: float) -> AsyncGenerator[tuple[dict[str, Any], bytes], None]:
        """Send a request and yield the answers (header, body) up to the last.

        Raises:
            BadContent: what the child says of the file; decoder_crashed; damaged if it uses too much time.
            DiedIdle: the child was dead already.
            TimeoutError: `seconds_left` passed.

        """
        stdin = self._process.stdin
        assert stdin is not None  # we asked for the pipe
        if stdin.is_closing() or self._process.returncode is not None:
            self.cause = "idle"
            raise DiedIdle("it was gone before")
        self._busy = True
        self.tasks += 1
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds_left
        stdin.write(pack(request))
        begun = False
        while True:
            header, body = await self._answer(deadline - loop.time(), begun)
            kind = header.get("kind")
            if kind == "begun":
                begun, self.sandbox = True, tuple(map(str, header.get("sandbox", ())))
                continue
            if kind == "error":
                refusal = _refusal(header)
                self._busy = False
                raise refusal
            yield header, body
            if kind != "segment":
                self._busy = False  # not before the answer was understood: who talks nonsense is not asked again
                return

    async def _answer(self, seconds_left: float, begun: bool) -> tuple[dict[str, Any], bytes]:
        stall = self._limits.stall_seconds
        try:
            async with asyncio.timeout(min(stall, max(0.0, seconds_left))):
                return await self._read()
        except TimeoutError as error:
            if seconds_left <= stall:
                raise
            self.cause = "stalled"
            message = f"decoding did not go on within {stall:.0f} s: send the file again, converted"
            raise BadContent(Reason.DAMAGED, message) from error
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            code = await self._process.wait()
            if not begun:
                self.cause = "idle"
                raise DiedIdle(f"exit status {code}") from error
            raise self._crash(code) from error
        except (BrokenFrame, orjson.JSONDecodeError) as error:
            self.cause = "crashed"
            raise BadContent(Reason.DECODER_CRASHED, "the decoder process answered nonsense; the file may be hostile") from error

    async def _read(self) -> tuple[dict[str, Any], bytes]:
        stdout = self._process.stdout
        assert stdout is not None  # we asked for the pipe
        head, body = lengths(await stdout.readexactly(PREFIX.size))
        header = orjson.loads(await stdout.readexactly(head))
        if not isinstance(header, dict):
            raise BrokenFrame("a header that is no object")
        return header, await stdout.readexactly(body)

    def _crash(self, code: int) -> BadContent:
        self.cause = {-signal.SIGXCPU: "cpu_time", -signal.SIGSYS: "sandbox"}.get(code, "crashed")
        if code == -signal.SIGXCPU:
            limit = f"{self._limits.cpu_seconds} s of processor time"
            return BadContent(Reason.DAMAGED, f"decoding did not end within {limit}: send a shorter or smaller file")
        if code == -signal.SIGSYS:
            message = "the sandbox ended the decoder process: it asked the kernel for what no decoding needs; the file is hostile"
            return BadContent(Reason.DECODER_CRASHED, message)
        name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return BadContent(Reason.DECODER_CRASHED, f"the decoder process ended with {name} on this part; the file may be hostile")

    async def close(self) -> None:
        """Kill the child, whatever it does, and wait for its end."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


def _refusal(header: Mapping[str, Any]) -> BadContent:
    """What the child says of the file. A child that a file has taken over may say anything."""
    try:
        return BadContent(Reason(header["reason"]), str(header["message"])[:_LONGEST_MESSAGE])
    except (KeyError, ValueError) as error:
        raise BrokenFrame(f"an error that is not one: {type(error).__name__}") from error
