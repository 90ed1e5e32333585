"""A Triton of a test's own, with a model that does as it is told and a supervisor beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from tritonclient.utils import InferenceServerException

from faults.worker import eventually
from guard_asking import Reply, Triton, text
from omniguard.adapters.triton_control import TritonControl
from omniguard.adapters.triton_process import TritonProcess
from omniguard.devstack import Stack
from omniguard.entrypoints.supervisor import Finding, Rules, Supervisor
from omniguard.guard.wire import MODEL
from omniguard.observability import Metrics

GUARD = Path(__file__).parent / "supervised_guard"


@dataclass
class Server:
    """A Triton of this test with the model that does as it is told."""

    stack: Stack
    address: str
    control: Path
    guard: Triton

    @property
    def pid(self) -> int:
        (number,) = [part.pid for part in self.stack.status() if part.name == "triton"]
        assert number is not None
        return number

    @property
    def model_pid(self) -> int:
        """Of the model's process, the newest."""
        return int((self.control / "pid").read_text() or 0)

    @property
    def model(self) -> psutil.Process:
        """That process, which must be there."""
        return psutil.Process(self.model_pid)

    def stubs(self) -> list[psutil.Process]:
        return [child for child in psutil.Process(self.pid).children() if child.status() != psutil.STATUS_ZOMBIE]

    @property
    def _pid_file(self) -> Path:
        return self.control / "triton.pid"

    def tell(self, name: str) -> None:
        (self.control / name).write_text(str(self.model_pid))

    async def answers(self, words: str = "hello") -> bool:
        """Whether a request is answered now."""
        try:
            reply: Reply = await asyncio.wait_for(self.guard.ask(text(words)), 2)
        except (InferenceServerException, TimeoutError):
            return False
        return reply.kinds == ["label"]

    async def until_answered(self, seconds: float = 120.0) -> float:
        """How long it took."""
        began = time.monotonic()
        while not await self.answers():
            assert time.monotonic() - began < seconds, "the model was not healed"
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    @asynccontextmanager
    async def supervised(self, rules: Rules, *, signals: bool = True) -> AsyncIterator[tuple[Supervisor, Metrics]]:
        """In this process; `signals` tells it Triton's number."""
        control, metrics = TritonControl(self.address, MODEL), Metrics()
        self._pid_file.write_text(str(self.pid))
        supervisor = Supervisor(control, rules, TritonProcess(self._pid_file, MODEL) if signals else None, metrics=metrics)
        running = asyncio.create_task(supervisor.run())
        try:
            await eventually(lambda: supervisor.finding is Finding.HEALTHY, 60, "a healthy model")
            yield supervisor, metrics
            assert not running.done()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await control.close()

    @asynccontextmanager
    async def kept_up(self) -> AsyncIterator[None]:
        """Triton is started again where it ends, as in its container.

        Triton 2.51 aborts where a model is unloaded whose process died with a lock on their shared memory.
        """
        keeping = asyncio.create_task(self._keep_up())
        try:
            yield
            assert not keeping.done()
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _keep_up(self) -> None:
        triton = psutil.Process(self.pid)
        while True:
            if not triton.is_running() or triton.status() == psutil.STATUS_ZOMBIE:
                await asyncio.to_thread(self.stack.start, "triton")
                triton = psutil.Process(self.pid)
                self._pid_file.write_text(str(triton.pid))
            await asyncio.sleep(0.1)


@asynccontextmanager
async def served(own_stack: Callable[..., Stack], control: Path) -> AsyncIterator[Server]:
    """Triton with that model, which takes its orders from the folder `control`, and has answered once."""
    control.mkdir()  # noqa: ASYNC240  nothing else runs yet
    stack = own_stack(parts=("triton",), model_repository=GUARD, triton_env={"SUPERVISED_CONTROL": str(control)})
    urls = await asyncio.to_thread(stack.up)
    guard = Triton(urls.triton)
    assert (await guard.ask(text("warm"))).kinds == ["label"]
    yield Server(stack, urls.triton, control, guard)
    await guard.close()
