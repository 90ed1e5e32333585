"""The genuine worker process, with a guard that does what words in the text and files in a control folder say.

    hold:NAME     note `started-NAME`, then wait until `go-NAME` is there; while it is missing the request's deadline counts
    kill:NAME     note `started-NAME`, then the process kills itself, as a fault in native code would
    explain:NAME  the critique waits for `go-NAME`, and notes `started-NAME`
    takes:SECONDS the label takes so long
    hateword      unsafe, with a critique

With the file `hang-critiques` no critique is ever written. FAULTS_GUARD=triton uses the real guard instead.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from faults.clocked import OFFSET, TurnedClock
from omniguard import bootstrap
from omniguard.adapters.memory_guard import MemoryGuard
from omniguard.domain.scores import Critique
from omniguard.entrypoints.worker import run
from omniguard.errors import Reason, Retryable
from omniguard.guard.wire import GuardRequest
from omniguard.ports import Label
from omniguard.settings import load_settings

POLL = 0.02


class ScriptedGuard(MemoryGuard):
    """The shipped twin, steered from outside the process."""

    def __init__(self, control: Path) -> None:
        super().__init__({"hateword": ("hate", 0.97)})
        self._control = control

    async def label(self, request: GuardRequest, media: Sequence[bytes], *, affinity: str = "") -> Label:
        for verb, name in _commands(request):
            if verb == "kill":
                self._note(name)
                os.kill(os.getpid(), signal.SIGKILL)
            if verb == "takes":
                await asyncio.sleep(float(name))
            if verb == "hold":
                self._note(name)
                await self._gate(f"go-{name}", request.deadline_ms)
        return await super().label(request, media, affinity=affinity)

    async def critique(self, request: GuardRequest, media: Sequence[bytes], *, affinity: str = "") -> Critique:
        for verb, name in _commands(request):
            if verb == "explain":
                self._note(name)
                await self._gate(f"go-{name}", None)
        while (self._control / "hang-critiques").exists():  # noqa: ASYNC110  a file that another process makes
            await asyncio.sleep(POLL)
        return await super().critique(request, media, affinity=affinity)

    def _note(self, name: str) -> None:
        with (self._control / f"started-{name}").open("a") as note:
            note.write(f"{os.getpid()}\n")

    async def _gate(self, name: str, deadline_ms: int | None) -> None:
        try:
            async with asyncio.timeout(None if deadline_ms is None else deadline_ms / 1000):
                while not (self._control / name).exists():  # noqa: ASYNC110
                    await asyncio.sleep(POLL)
        except TimeoutError:
            raise Retryable(Reason.DEADLINE, "the scripted guard was told to hold past the deadline") from None


def _commands(request: GuardRequest) -> list[tuple[str, str]]:
    words = " ".join(part.text or "" for part in request.parts).split()
    return [(verb, name) for verb, _, name in (word.partition(":") for word in words) if name]


async def main() -> None:
    control = Path(os.environ["FAULTS_CONTROL"])
    ready = control / f"ready-{os.getpid()}"
    if OFFSET in os.environ:
        bootstrap.SystemClock = TurnedClock  # type: ignore[misc]
    guard = None if os.environ.get("FAULTS_GUARD") == "triton" else ScriptedGuard(control)
    await run(load_settings(), start="earliest", ready=lambda port: ready.touch(), guard=guard)
