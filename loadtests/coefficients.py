"""What capacity planning multiplies with, measured: `python -m loadtests.coefficients`.

    python -m loadtests.coefficients --write                     worker, decoders, Redis, and the engine lite on this CPU
    python -m loadtests.coefficients --only guard --write        one part again, in a quieter moment
    python -m loadtests.coefficients --triton HOST:PORT --unit GPU --name my-h100 --out my-h100.json
                                                                 a served guard: its seconds a label and a critique at its limit

Of the worker: a load test at three rates; its CPU is a line over the rate, of which the first and the last give base and slope.
The middle one, and a fourth with a guard that cannot keep up, are the check of docs/capacity.md. Of the engine lite: CPU seconds
of all its threads. Of a served guard: with more requests under way than it takes at once, seconds gone by divided by labels that
come back.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import uvloop
from redis import Redis
from rich.console import Console
from rich.progress import Progress

from loadtests.running import Run, measure
from loadtests.samples import asks, decoding_seconds
from loadtests.scenarios import SCENARIOS, Scenario
from loadtests.stand_in import InProcess
from loadtests.system import own_system
from omniguard.adapters.redis_store import RedisAssessmentStore
from omniguard.adapters.triton_guard import TritonGuard
from omniguard.devstack import Stack, StackUrls
from omniguard.domain.capacity import GUARD, UNITS
from omniguard.domain.scores import Assessment, ModelInfo, PartCoverage, SegmentScore
from omniguard.domain.taxonomy import CATEGORIES, TEST
from omniguard.guard import engines
from omniguard.guard.service import GuardService

SHIPPED = Path("services/omniguard/coefficients/lite-cpu.json")
MEASURED = Path("loadtests/results/capacity.json")
RATES = (5.0, 15.0, 30.0)
SATURATED = replace(SCENARIOS["steady"].with_(40.0, 15.0), label_ms=50.0)
"""Twice what its guard can answer: what comes back is all that the guard gives."""
UPLOADS, SEGMENTS = 500, 20
"""Written to Redis to see what a further segment takes."""
COMMAND = "python -m loadtests.coefficients"
Guard = TritonGuard | InProcess


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triton", help="gRPC address of a served guard; only its coefficients are measured")
    parser.add_argument("--model", default="omniguard")
    parser.add_argument("--unit", default="GPU", help="what one replica of it consists of")
    parser.add_argument("--name", default="guard")
    parser.add_argument("--concurrency", type=int, default=32, help="requests under way at the served guard")
    parser.add_argument("--rounds", type=int, default=64, help="labels of each kind")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each load test")
    parser.add_argument("--out", type=Path, default=Path("out/coefficients.json"))
    parser.add_argument("--only", choices=sorted(PARTS), action="append", default=[], help="measure this part; repeatable")
    parser.add_argument("--write", action="store_true", help=f"write {SHIPPED} and {MEASURED}")
    args, console = parser.parse_args(), Console()
    if args.triton:
        served = asyncio.run(_served(args))
        _write(args.out, args.name, args.unit, served, f"{COMMAND} --triton {args.triton} --concurrency {args.concurrency}")
        console.print(f"written: {args.out}", markup=False)
        return
    place = SHIPPED if args.write else args.out
    values: dict[str, float] = {}
    for part in args.only or PARTS:
        values |= PARTS[part](args, console)
    _write(place, "lite-cpu", "core", values, f"{COMMAND}{''.join(f' --only {part}' for part in args.only)}")
    console.print(f"written: {place}", markup=False)


def _write(path: Path, name: str, unit: str, values: dict[str, float], command: str) -> None:
    """Write what was measured; what a file of that name holds beside it stays."""
    source = f"measured by `{command}` on {_machine()}, {_today()}"
    kept = json.loads(path.read_bytes()) if path.exists() else {}
    found = kept["coefficients"] if kept.get("name") == name else {}
    made = {n: {"value": float(f"{value:.4g}"), "unit": UNITS[n], "source": source} for n, value in values.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"name": name, "guard_unit": unit, "coefficients": {**found, **made}}, indent=1) + "\n")


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}"


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _worker(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Base and slope of the worker's CPU; the runs themselves are written beside, to check the calculator by."""
    rows: list[dict[str, Any]] = []
    with _stack("kafka", "redis") as urls:
        steady = [SCENARIOS["steady"].with_(rate, args.seconds) for rate in RATES]
        rows += [_row(_run(scenario, urls.kafka, urls.redis, console), "steady") for scenario in steady]
        rows.append(_row(_run(SATURATED, urls.kafka, urls.redis, console), "saturated"))
    measured = MEASURED if args.write else args.out.with_name("capacity.json")
    measured.parent.mkdir(parents=True, exist_ok=True)
    measured.write_text(json.dumps({"command": COMMAND, "on": _machine(), "at": _today(), "runs": rows}, indent=1) + "\n")
    console.print(f"written: {measured}", markup=False)
    return _line(rows[0], rows[len(RATES) - 1])


@contextmanager
def _stack(*parts: str) -> Iterator[StackUrls]:
    with tempfile.TemporaryDirectory(prefix="omniguard-capacity-") as folder:
        stack = Stack(Path(folder), parts=parts, owner=os.getpid())  # type: ignore[arg-type]
        try:
            yield stack.up()
        finally:
            stack.down()


def _stored(args: argparse.Namespace, console: Console) -> dict[str, float]:  # noqa: ARG001 - one form for all parts
    with _stack("redis") as urls, tempfile.TemporaryDirectory(prefix="omniguard-capacity-") as folder:
        redis = Redis.from_url(urls.redis)
        found = asyncio.run(_redis(redis, urls.redis, Path(folder)))
        redis.close()
    return found


async def _redis(redis: Redis, url: str, folder: Path) -> dict[str, float]:
    """Bytes of an upload of one segment, and of a further one: its memo, and its place in the assessment."""
    used: list[int] = []
    for segments in (1, 1 + SEGMENTS):
        redis.flushall()
        before = _used(redis)
        store = RedisAssessmentStore.at(url, state=folder, on_error=lambda _: None)
        for upload in range(UPLOADS):
            scores = tuple(_score(index) for index in range(segments))
            found = Assessment(ModelInfo("omniguard", "d" * 64, "vllm"), scores, {"p0": PartCoverage(6.0 * segments, 6.0)})
            content = f"load|{upload}"
            # A write on a busy machine may be too late and count as a miss: it must not count as no bytes.
            for score in scores:
                while await store.recall(key := _key(upload, score.index)) is None:
                    await store.remember(key, score, content=content, version=1)
            while await store.get(key := _key(upload, -1)) is None:
                await store.put(key, found, content=content, version=1)
        await store.close()
        used.append(_used(redis) - before)
    return {"redis_upload": used[0] / UPLOADS, "redis_segment": (used[1] - used[0]) / UPLOADS / SEGMENTS}


def _key(*parts: int) -> str:
    """As long as the genuine ones."""
    return f"load/{sha256(repr(parts).encode()).hexdigest()}"


def _score(index: int) -> SegmentScore:
    """Of a window of film with nothing in it."""
    every = (*CATEGORIES, TEST)
    at = 6.0 * index
    return SegmentScore("p0", index, {"joint": 0.0173 + index / 1e4}, at, at + 6.0, assessed={"video": every, "audio": every})


def _used(redis: Redis) -> int:
    return int(redis.info("memory")["used_memory"])


def _run(scenario: Scenario, kafka: str, redis: str, console: Console) -> Run:
    with (
        own_system(
            scenario,
            triton=False,
            workers=1,
            external={"kafka": kafka, "redis": redis},
            model_repository=Path("model_repository"),
        ) as under,
        Progress(console=console, transient=True) as progress,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(measure(under, scenario, uuid.uuid4().hex[:8], patience=45.0, progress=progress))


def _row(run: Run, kind: str) -> dict[str, Any]:
    first, last = run.samples[0], run.samples[-1]
    wall = last.at - first.at
    return {
        "kind": kind,
        "rate": run.scenario.rate,
        "answered_per_s": run.report.answered / wall,
        "worker_cores": (last.cpu_seconds - first.cpu_seconds) / wall,
        "guard_busy": (last.guard_seconds - first.guard_seconds) / wall,
        "label_s": run.scenario.label_ms / 1000,
        "cached": run.report.cached / run.report.answered,
        "lost": run.report.lost,
    }


def _line(low: dict[str, Any], high: dict[str, Any]) -> dict[str, float]:
    """Base and slope of the worker's CPU over the rate."""
    slope = (high["worker_cores"] - low["worker_cores"]) / (high["answered_per_s"] - low["answered_per_s"])
    return {"worker_base": max(0.0, low["worker_cores"] - slope * low["answered_per_s"]), "worker_upload": slope}


async def _lite(rounds: int) -> dict[str, float]:
    service = GuardService(engines.load({"engine": "lite", "media_workers": "2", "max_in_flight": "64"}))
    try:
        return await _each(InProcess(service), max(4, rounds // 8), _one_by_one)
    finally:
        service.close()


async def _served(args: argparse.Namespace) -> dict[str, float]:
    guard = TritonGuard((args.triton,), model=args.model)

    async def at_its_limit(work: Sequence[Coroutine[Any, Any, object]]) -> float:
        places = asyncio.Semaphore(args.concurrency)

        async def one(each: Coroutine[Any, Any, object]) -> None:
            async with places:
                await each

        before = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(one(each))
        return time.perf_counter() - before

    try:
        return await _each(guard, args.rounds, at_its_limit)
    finally:
        await guard.close()


async def _one_by_one(work: Sequence[Coroutine[Any, Any, object]]) -> float:
    before = time.process_time()
    for each in work:
        await each
    return time.process_time() - before


async def _each(
    guard: Guard, rounds: int, timed: Callable[[Sequence[Coroutine[Any, Any, object]]], Awaitable[float]]
) -> dict[str, float]:
    """Seconds of each coefficient; a first request that is not counted pays for loading."""
    values: dict[str, float] = {}
    for name, made in asks(rounds + 1).items():
        ask = guard.critique if name == "critique" else guard.label
        await ask(*made[0])
        values[name] = await timed([ask(*each) for each in made[1:]]) / rounds
    assert set(values) == set(GUARD)
    return values


PARTS: dict[str, Callable[[argparse.Namespace, Console], dict[str, float]]] = {
    "worker": _worker,
    "redis": _stored,
    "decoders": lambda *_: asyncio.run(decoding_seconds()),
    "guard": lambda args, _: asyncio.run(_lite(args.rounds)),
}


if __name__ == "__main__":
    main()
