"""`make bench`: our cost per event, and the way from upload to verdict, with the model's time taken out.

In one run, on one genuine broker and store: the same stages and publisher with a guard that costs nothing, consumed by Faust and
by bare aiokafka, in turn. Figures are of this machine; the ratio between the two is what travels.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from loadtests.upload import upload
from omniguard.adapters.topics_admin import TopicsAdmin
from omniguard.contracts.topics import Topics
from omniguard.devstack import Stack, StackUrls
from omniguard.domain.lane import Lane

TENANTS = "default:\n  policy: lite-demo\n  policy_epoch: 1\n"


@dataclass(frozen=True)
class Throughput:
    """A backlog of `events` worked off. CPU is the worker process's own, user and system."""

    consumer: str
    events: int
    events_per_s: float
    cpu_us_per_event: float


@dataclass(frozen=True)
class Latency:
    """Milliseconds from the producer's call to the verdict in the consumer's hands, at a fixed arrival rate."""

    what: str
    events: int
    rate_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


class Bench:
    """One broker and store; a fresh set of topics for every measurement."""

    def __init__(self, urls: StackUrls, folder: Path, progress: Progress) -> None:
        self._urls, self._folder, self._progress = urls, folder, progress

    async def throughput(self, consumer: str, count: int) -> Throughput:
        """Work off a backlog."""
        async with self._topics() as topics:
            await self._fill(topics, count)
            async with self._observer(topics) as observer:
                with self._worker(consumer, topics) as process:
                    # The start-up is not the event's cost: count from the first verdict on.
                    await self._collect(observer, 1, f"{consumer}: first verdict")
                    cpu, start = _cpu(process), time.perf_counter()
                    await self._collect(observer, count - 1, f"{consumer}: backlog")
                    seconds, spent = time.perf_counter() - start, _cpu(process) - cpu
        return Throughput(consumer, count, (count - 1) / seconds, spent / (count - 1) * 1e6)

    async def latency(self, what: str, texts: Iterator[str], rate: float, count: int) -> Latency:
        """Send at a fixed rate, whatever comes back, and note when each verdict is there."""
        async with self._topics() as topics, self._observer(topics) as observer:
            with self._worker("faust", topics):
                await self._send(topics, [upload("bench", f"warm{i}", next(texts)) for i in range(50)], rate)
                await self._collect(observer, 50, f"{what}: warming up")
                sent: dict[bytes, float] = {}
                events = [upload("bench", f"e{i}", next(texts)) for i in range(count)]
                sending = asyncio.create_task(self._send(topics, events, rate, sent))
                seen = await self._collect(observer, count, what)
                await sending
        times = sorted((seen[key] - at) * 1000 for key, at in sent.items())
        cuts = quantiles(times, n=100)
        return Latency(what, count, rate, median(times), cuts[94], cuts[98])

    async def _send(
        self, topics: Topics, events: list[tuple[bytes, bytes]], rate: float, sent: dict[bytes, float] | None = None
    ) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self._urls.kafka, acks="all", linger_ms=0)
        await producer.start()
        start = time.perf_counter()
        for i, (key, value) in enumerate(events):
            await asyncio.sleep(max(0.0, start + i / rate - time.perf_counter()))
            if sent is not None:
                sent[key] = time.perf_counter()
            await producer.send(topics.content(Lane.LIVE), value, key)
        await producer.stop()

    async def _fill(self, topics: Topics, count: int) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self._urls.kafka, acks="all", linger_ms=5)
        await producer.start()
        for i in range(count):
            key, value = upload("bench", f"e{i}", f"an everyday remark, number {i}")
            await producer.send(topics.content(Lane.LIVE), value, key)
        await producer.stop()

    async def _collect(self, observer: AIOKafkaConsumer, count: int, what: str) -> dict[bytes, float]:
        bar = self._progress.add_task(what, total=count)
        seen: dict[bytes, float] = {}
        while len(seen) < count:
            message = await asyncio.wait_for(observer.getone(), 120)
            seen[message.key] = time.perf_counter()
            self._progress.update(bar, completed=len(seen))
        return seen

    @asynccontextmanager
    async def _topics(self) -> AsyncIterator[Topics]:
        topics = Topics(f"bench{uuid.uuid4().hex[:8]}.")
        async with TopicsAdmin({"bootstrap_servers": self._urls.kafka}) as admin:
            await admin.apply(topics.all)
        yield topics

    @asynccontextmanager
    async def _observer(self, topics: Topics) -> AsyncIterator[AIOKafkaConsumer]:
        observer = AIOKafkaConsumer(
            topics.verdicts, bootstrap_servers=self._urls.kafka, auto_offset_reset="earliest", fetch_max_wait_ms=5
        )
        await observer.start()
        try:
            yield observer
        finally:
            await observer.stop()

    @contextmanager
    def _worker(self, consumer: str, topics: Topics) -> Iterator[psutil.Process]:
        tenants = self._folder / "tenants.yaml"
        tenants.write_text(TENANTS)
        settings = {
            "KAFKA__BOOTSTRAP": self._urls.kafka,
            "KAFKA__TOPIC_PREFIX": topics.prefix,
            "REDIS__URL": self._urls.redis,
            "WORKER__MEDIA_FOLDER": str(self._folder / "media"),
            "WORKER__STATE_FOLDER": str(self._folder / "state"),
            "POLICY__TENANTS": str(tenants),
        }
        child = subprocess.Popen(
            [sys.executable, "-m", "loadtests.bench_worker", consumer],
            cwd=Path(__file__).parents[1],
            env={**os.environ, **{f"OMNIGUARD_{name}": value for name, value in settings.items()}},
            stdout=subprocess.PIPE,
        )
        try:
            assert child.stdout is not None
            if not child.stdout.readline():
                raise RuntimeError("the bench worker ended before it consumed; its message stands above")
            yield psutil.Process(child.pid)
        finally:
            child.terminate()
            child.wait(30)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def measure(
    urls: StackUrls, folder: Path, console: Console, *, events: int, rounds: int
) -> tuple[list[Throughput], list[Latency]]:
    """Run everything; Faust and the bare consumer in turn, so that a drift of the machine meets both."""
    with Progress(console=console, transient=True) as progress:
        bench = Bench(urls, folder, progress)
        runs = [await bench.throughput(consumer, events) for _ in range(rounds) for consumer in ("faust", "bare")]
        fresh = (f"an everyday remark, number {uuid.uuid4()}" for _ in iter(int, 1))
        same = ("the same remark again and again" for _ in iter(int, 1))
        latencies = [
            await bench.latency("new inline text", fresh, 50, 1500),
            await bench.latency("kept inline text (cache hit)", same, 50, 1500),
        ]
    return runs, latencies


def best(runs: list[Throughput], consumer: str) -> Throughput:
    """The median run by CPU per event."""
    mine = sorted((r for r in runs if r.consumer == consumer), key=lambda r: r.cpu_us_per_event)
    return mine[len(mine) // 2]


def tables(throughput: list[Throughput], latency: list[Latency]) -> list[Table]:
    """What a person reads."""
    first = Table(title="Our own cost, guard at zero cost")
    for column in ("consumed by", "events", "events/s", "CPU µs/event"):
        first.add_column(column, justify="left" if column == "consumed by" else "right")
    for r in (best(throughput, "faust"), best(throughput, "bare")):
        first.add_row(r.consumer, f"{r.events:,}", f"{r.events_per_s:,.0f}", f"{r.cpu_us_per_event:,.0f}")
    second = Table(title="Upload produced to verdict consumed, model time zero")
    for column in ("what", "events", "rate/s", "p50 ms", "p95 ms", "p99 ms"):
        second.add_column(column, justify="left" if column == "what" else "right")
    for way in latency:
        cells = (f"{way.rate_per_s:g}", *(f"{ms:.1f}" for ms in (way.p50_ms, way.p95_ms, way.p99_ms)))
        second.add_row(way.what, f"{way.events:,}", *cells)
    return [first, second]


def main() -> None:
    """Parse arguments, start what is needed, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=4000, help="size of the backlog")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of Faust and bare in turn; the median is shown")
    parser.add_argument("--json", type=Path, help="write every run here")
    args = parser.parse_args()
    console = Console()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it reports every retry on topics made a moment ago
    console.print("Starts Kafka and Valkey on loopback, measures for about three minutes, and ends both.")
    with tempfile.TemporaryDirectory(prefix="omniguard-bench-") as name:
        folder = Path(name)
        stack = Stack(folder / "stack", parts=("kafka", "redis"), owner=os.getpid())
        try:
            throughput, latency = asyncio.run(measure(stack.up(), folder, console, events=args.events, rounds=args.rounds))
        finally:
            stack.down()
    for table in tables(throughput, latency):
        console.print(table)
    ratio = best(throughput, "faust").cpu_us_per_event / best(throughput, "bare").cpu_us_per_event
    console.print(f"CPU per event, Faust to bare aiokafka: {ratio:.2f}")
    if args.json:
        runs = {"throughput": [asdict(r) for r in throughput], "latency": [asdict(r) for r in latency]}
        args.json.write_text(json.dumps(runs, indent=2))


if __name__ == "__main__":
    main()
