"""Everything the demo runs on: the developer stack, the topics, and one worker a lane, each a process of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from omniguard.adapters.topics_admin import TopicsAdmin
from omniguard.contracts.policy_file import SHIPPED
from omniguard.contracts.topics import Topics
from omniguard.devstack import PartFailed, Stack, StackUrls, process
from omniguard.devstack.process import Launch, Running
from omniguard.devstack.triton import answers
from omniguard.domain.lane import Lane
from omniguard.settings import PREFIX

TENANTS = SHIPPED / "tenants-demo.yaml"
_DRAIN_SECONDS = 5
_POLL_SECONDS = 0.1
_START_SECONDS = 120
_PATIENCE_SECONDS = 120
"""More than a real installation gives a live event and a critique: here one small machine is broker, store, guard and workers."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process: its lane, its log, and where it answers /healthz, /readyz and /metrics."""

    lane: Lane
    log: Path
    health: str
    running: Running


class Site:
    """Started step by step, so that what is slow runs side by side; ended as a whole, by `close` or with the owner's death."""

    def __init__(self, folder: Path, *, repository: Path, samples: Path, report: Callable[[str], None]) -> None:
        """Everything lies below `folder`; logs in it too. `samples` is the folder the demo's tenants may name files of."""
        self._samples = samples
        self.workers: list[Worker] = []
        self.stack = Stack(folder, model_repository=repository, python=Path(sys.executable), owner=os.getpid(), report=report)

    @property
    def urls(self) -> StackUrls:
        """Addresses, as soon as they are chosen."""
        return self.stack.urls()

    async def serving(self, part: str, starting: asyncio.Task[StackUrls]) -> None:
        """Wait until one part serves, while the others still start.

        Raises:
            DevStackError: `starting` failed.

        """
        while not any(p.name == part and p.healthy for p in await asyncio.to_thread(self.stack.status)):
            await asyncio.wait({starting}, timeout=_POLL_SECONDS)
            if starting.done():
                starting.result()

    async def chosen(self, starting: asyncio.Task[StackUrls]) -> None:
        """Wait until every part has its address.

        Raises:
            DevStackError: `starting` failed.

        """
        while not {"kafka", "redis", "triton"} <= self.urls.addresses.keys():
            await asyncio.wait({starting}, timeout=_POLL_SECONDS)
            if starting.done():
                starting.result()

    async def create_topics(self) -> None:
        """Create every declared topic."""
        async with TopicsAdmin({"bootstrap_servers": self.urls.kafka}) as admin:
            await admin.apply(Topics().all)

    def start_worker(self, lane: Lane) -> Worker:
        """Start the worker of a lane; it waits by itself for what it needs."""
        port = _free_port()
        log = self.stack.dir / f"worker-{lane.value}.log"
        argv = (sys.executable, "-m", "omniguard", "worker", "--lane", lane.value, "--from", "earliest")
        running = process.start(Launch(argv, log, self._environment(lane, port)), self.stack.guests)
        worker = Worker(lane, log, f"http://127.0.0.1:{port}", running)
        self.workers.append(worker)
        return worker

    async def ready(self, worker: Worker) -> None:
        """Wait until a worker consumes and its guard answers.

        Raises:
            PartFailed: it has ended, or was not ready in time.

        """
        until = time.monotonic() + _START_SECONDS
        while not await asyncio.to_thread(answers, f"{worker.health}/readyz"):
            self.check_workers()
            if time.monotonic() > until:
                what = f"was not ready within {_START_SECONDS} s"
                raise PartFailed(f"the {worker.lane} worker", what, worker.log, process.tail(worker.log))
            await asyncio.sleep(_POLL_SECONDS)

    def check_workers(self) -> None:
        """Raises PartFailed if a worker has ended."""
        for worker in self.workers:
            if not process.is_alive(worker.running):
                how = process.describe_exit(worker.running)
                raise PartFailed(f"the {worker.lane} worker", f"ended ({how})", worker.log, process.tail(worker.log))

    def close(self) -> None:
        """End workers and stack; the logs stay."""
        process.end([self.stack.guests], _DRAIN_SECONDS + 3)
        self.stack.down()

    def _environment(self, lane: Lane, port: int) -> Mapping[str, str]:
        urls, folder = self.urls, self.stack.dir / f"worker-{lane.value}"
        settings = {
            "KAFKA__BOOTSTRAP": urls.kafka,
            "REDIS__URL": urls.redis,
            "TRITON__ADDRESSES": urls.triton,
            "POLICY__TENANTS": str(TENANTS),
            "POLICY__ROOTS": orjson.dumps({"SAMPLES": str(self._samples)}).decode(),
            "WORKER__HEALTH_PORT": str(port),
            "WORKER__MEDIA_FOLDER": str(folder / "media"),
            "WORKER__STATE_FOLDER": str(folder / "state"),
            "WORKER__DECODE_PROCESSES": "1",
            "WORKER__LIVE_SECONDS": str(_PATIENCE_SECONDS),
            "WORKER__CRITIQUE_TIMEOUT": str(_PATIENCE_SECONDS),
            "WORKER__DRAIN_TIMEOUT": str(_DRAIN_SECONDS),
        }
        return {f"{PREFIX}{name}": value for name, value in settings.items()}


def forget_settings() -> None:
    """Drop every setting from this process's environment: the demo must not reach what somebody's real settings name."""
    for name in [name for name in os.environ if name.startswith(PREFIX) and "__" in name]:
        del os.environ[name]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
