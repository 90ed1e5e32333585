"""`make load`: uploads at a fixed arrival rate against a running installation (`make demo KEEP=1` leaves one up).

Exit status: 0 all thresholds kept, 1 one was missed, 2 the harness itself failed (no broker, no topics).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from loadtests.reporter import Answer, Limits, Report, report
from loadtests.upload import upload
from omniguard.contracts.topics import Topics
from omniguard.contracts.verdict import decode
from omniguard.domain.lane import Lane

TEXTS = (
    "what a lovely evening by the lake",
    "does anyone know a good bakery near the station",
    "our team won the match two to one after extra time",
    "the new album is out and I listen to it all day",
)


@asynccontextmanager
async def _clients(bootstrap: str, topics: Topics) -> AsyncIterator[tuple[AIOKafkaProducer, AIOKafkaConsumer]]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=0)
    consumer = AIOKafkaConsumer(topics.verdicts, bootstrap_servers=bootstrap, auto_offset_reset="latest", fetch_max_wait_ms=5)
    await producer.start()
    try:
        await consumer.start()
        try:
            await consumer.seek_to_end()
            yield producer, consumer
        finally:
            await consumer.stop()
    finally:
        await producer.stop()


async def _produce(producer: AIOKafkaProducer, topic: str, args: argparse.Namespace, sent: dict[str, float]) -> None:
    """Open loop: the next upload goes out on time, whatever has come back."""
    run, count = uuid.uuid4().hex[:8], round(args.rate * args.seconds)
    start = time.perf_counter()
    for i in range(count):
        await asyncio.sleep(max(0.0, start + i / args.rate - time.perf_counter()))
        content, repeated = f"load-{run}-{i}", i % 100 < args.repeated
        text = TEXTS[i % len(TEXTS)] if repeated else f"{TEXTS[i % len(TEXTS)]} ({run} {i})"
        key, value = upload(args.tenant, content, text)
        sent[key.decode()] = time.perf_counter()
        await producer.send(topic, value, key)


async def _observe(
    consumer: AIOKafkaConsumer, sent: dict[str, float], count: int, patience: float, progress: Progress
) -> list[Answer]:
    """Every verdict, until each upload has one or nothing has come for `patience` seconds."""
    bar = progress.add_task("verdicts", total=count)
    answers: list[Answer] = []
    seen: set[str] = set()
    while len(seen) < count:
        try:
            message = await asyncio.wait_for(consumer.getone(), patience)
        except TimeoutError:
            break
        data = decode(message.value, dict(message.headers))
        answers.append(Answer(data.key, time.perf_counter(), data.verdict_id, data.status, data.cache.hit))
        if data.key in sent:
            seen.add(data.key)
            progress.update(bar, completed=len(seen))
    return answers


async def run(args: argparse.Namespace, progress: Progress) -> Report:
    """Produce and observe side by side."""
    topics, sent = Topics(args.topic_prefix), dict[str, float]()
    async with _clients(args.kafka, topics) as (producer, consumer):
        start = time.perf_counter()
        producing = asyncio.create_task(_produce(producer, topics.content(Lane.LIVE), args, sent))
        answers = await _observe(consumer, sent, round(args.rate * args.seconds), args.patience, progress)
        await producing
        return report(sent, answers, time.perf_counter() - start)


def main() -> int:
    """Parse, run, print; see the exit status above."""
    parser = argparse.ArgumentParser(prog="python -m loadtests", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kafka", default="127.0.0.1:9092", help="bootstrap servers of the installation under test")
    parser.add_argument("--topic-prefix", default="", help="prefix of its topics")
    parser.add_argument("--tenant", default="acme", help="tenant to upload as; one whose verdicts nobody enforces")
    parser.add_argument("--rate", type=float, default=10.0, help="uploads a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to send")
    parser.add_argument("--repeated", type=int, default=20, help="per cent of uploads that repeat a text (cache hits)")
    parser.add_argument("--patience", type=float, default=45.0, help="seconds without any verdict until the rest count as lost")
    parser.add_argument("--p99-ms", type=float, help="threshold: 99th percentile from upload to verdict")
    parser.add_argument("--indeterminate", type=float, help="threshold: greatest share of indeterminate verdicts, 0 to 1")
    parser.add_argument("--json", type=Path, help="write the report here")
    args = parser.parse_args()
    console = Console()
    try:
        with Progress(console=console, transient=True) as progress:
            result = asyncio.run(run(args, progress))
    except KafkaError as error:
        console.print(
            f"no load test at {args.kafka}: {type(error).__name__}; start an installation, or name its broker with --kafka"
        )
        return 2
    table = Table(title=f"{args.rate:g} uploads a second for {args.seconds:g} s", show_header=False)
    for name, value in asdict(result).items():
        table.add_row(name.replace("_", " "), f"{value:,.1f}" if isinstance(value, float) else f"{value:,}")
    console.print(table)
    if args.json:
        args.json.write_text(json.dumps(asdict(result), indent=2))
    misses = result.misses(Limits(args.p99_ms, args.indeterminate))
    for miss in misses:
        console.print(f"missed: {miss}")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
