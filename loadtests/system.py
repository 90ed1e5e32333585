"""What a load test runs against: a small stack and workers of its own, or an installation that is up already."""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys
import tempfile
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

from loadtests.reporter import Sample
from loadtests.scenarios import FLOOD_QUOTA, Scenario
from omniguard.adapters.topics_admin import TopicsAdmin
from omniguard.contracts.topics import Topics
from omniguard.devstack import Stack

ROOT = Path(__file__).parents[1]
START_SECONDS = 90.0
TENANTS = """
default: {{policy: lite-demo, policy_epoch: 1, fetch: {{public_http: false, file_roots: ["{folder}"]}}}}
tenants:
  flood: {{policy: lite-demo, policy_epoch: 1, quota: {quota}}}
"""


class HarnessError(Exception):
    """The load test itself did not work; nothing was measured."""


@dataclass(frozen=True, slots=True)
class Under:
    """What is under test. `workers` are empty where somebody else runs it: then nothing is known of its cost."""

    bootstrap: str
    topics: Topics
    folder: Path
    control: Path
    workers: Sequence[Worker] = ()

    def sample(self, at: float) -> Sample | None:
        """What all workers hold and have spent by now, children included."""
        if not self.workers:
            return None
        processes = [p for worker in self.workers for p in worker.family()]
        return Sample(
            at,
            rss_bytes=sum(worker.process.memory_info().rss for worker in self.workers),
            descriptors=sum(worker.process.num_fds() for worker in self.workers),
            cpu_seconds=sum(_cpu(p) for p in processes),
            guard_seconds=sum(worker.guard_seconds() for worker in self.workers),
        )


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process of ours."""

    process: psutil.Process
    port: int

    def family(self) -> list[psutil.Process]:
        """It and its decoders."""
        return [self.process, *self.process.children(recursive=True)]

    def guard_seconds(self) -> float:
        """Seconds of its requests at the guard; with the stand-in those of the accelerator, without the wait for it."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as page:
            families = text_string_to_metric_families(page.read().decode())
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == "omniguard_guard_duration_seconds_sum" and sample.labels["mode"] == "label"
        )


@contextmanager
def own_system(
    scenario: Scenario, *, triton: bool, workers: int, external: Mapping[str, str], model_repository: Path
) -> Iterator[Under]:
    """Kafka and Valkey (those of `external` are somebody else's), the guard, and worker processes; all end with the block.

    Raises:
        HarnessError: a worker did not start.

    """
    with tempfile.TemporaryDirectory(prefix="omniguard-load-") as name, ExitStack() as exits:
        folder = Path(name)
        (folder / "control").mkdir()
        (folder / "tenants.yaml").write_text(TENANTS.format(folder=folder, quota=FLOOD_QUOTA))
        parts = ("kafka", "redis", "triton") if triton else ("kafka", "redis")
        stack = Stack(folder / "stack", parts=parts, external=external, model_repository=model_repository, owner=os.getpid())  # type: ignore[arg-type]
        exits.callback(stack.down)
        urls = stack.up()
        topics = Topics(f"load{uuid.uuid4().hex[:8]}.")
        asyncio.run(_create(urls.kafka, topics))
        guard = {"TRITON__ADDRESSES": urls.triton} if triton else {}
        settings = {
            "KAFKA__BOOTSTRAP": urls.kafka,
            "KAFKA__TOPIC_PREFIX": topics.prefix,
            "REDIS__URL": urls.redis,
            "WORKER__MEDIA_FOLDER": str(folder / "media"),
            "WORKER__STATE_FOLDER": str(folder / "state"),
            "WORKER__HEALTH_PORT": "0",
            "WORKER__DRAIN_TIMEOUT": "5",
            "POLICY__TENANTS": str(folder / "tenants.yaml"),
            "TELEMETRY__LOG_LEVEL": "WARNING",
            **guard,
            **{key.upper(): value for key, value in scenario.settings.items()},
        }
        under = Under(urls.kafka, topics, folder, folder / "control")
        started = [exits.enter_context(_worker(settings, under, None if triton else scenario.label_ms)) for _ in range(workers)]
        yield Under(under.bootstrap, topics, folder, under.control, started)


async def _create(bootstrap: str, topics: Topics) -> None:
    async with TopicsAdmin({"bootstrap_servers": bootstrap}) as admin:
        await admin.apply(topics.all)


@contextmanager
def running_system(bootstrap: str, prefix: str) -> Iterator[Under]:
    """An installation that is up; nothing of it is started, changed or watched but its topics."""
    with tempfile.TemporaryDirectory(prefix="omniguard-load-") as name:
        yield Under(bootstrap, Topics(prefix), Path(name), Path(name))


@contextmanager
def _worker(settings: Mapping[str, str], under: Under, label_ms: float | None) -> Iterator[Worker]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("OMNIGUARD_")}
    env |= {f"OMNIGUARD_{name}": value for name, value in settings.items()}
    env |= {"LOAD_CONTROL": str(under.control), **({} if label_ms is None else {"LOAD_LABEL_MS": str(label_ms)})}
    log = under.folder / "worker.log"
    with log.open("ab") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "loadtests.load_worker"], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=errors
        )
    try:
        assert child.stdout is not None
        told, _, _ = select.select([child.stdout], [], [], START_SECONDS)
        line = child.stdout.readline() if told else b""
        if not line:
            found = "ended before it consumed" if told else f"did not consume within {START_SECONDS:g} s"
            raise HarnessError(f"the worker {found}:\n{log.read_text(errors='replace')[-2000:]}")
        yield Worker(psutil.Process(child.pid), int(line))
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:  # a decoder that has just made room for the next
        return 0.0
    return times.user + times.system
