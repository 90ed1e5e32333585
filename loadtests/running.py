"""One run: the producer, the observer and the sampler side by side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from rich.progress import Progress

from loadtests.guard import SLOW
from loadtests.observer import Observer
from loadtests.payloads import Payloads
from loadtests.producer import MAX_REQUEST, produce
from loadtests.reporter import Report, Sample, Seen, Sent, report
from loadtests.scenarios import Due, Scenario, schedule, starts
from loadtests.system import HarnessError, Under
from omniguard.domain.lane import Lane
from omniguard.domain.reason import Reason

SAMPLES = 200
"""At most so many looks at the workers, however long the run."""
WARM = 40
"""Uploads sent and answered before anything counts: the worker's first ones pay for connections and look-ups of its own."""
WARM_RATE = 20.0
LEAD_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Run:
    """All that was seen, on the clock of `time.perf_counter`; `start` is when the first upload was due."""

    scenario: Scenario
    start: float
    sent: list[Sent]
    seen: Seen
    samples: list[Sample]
    report: Report


async def measure(under: Under, scenario: Scenario, run: str, *, patience: float, progress: Progress) -> Run:
    """Send all of the scenario's uploads on time and watch what becomes of them.

    Raises:
        KafkaError: the broker is not there, or took an upload not.
        HarnessError: the installation does not know the tenants.

    """
    payloads = Payloads(run, under.folder)
    if any(due.kind == "video" for due in schedule(scenario)):
        payloads.make("video", "films", 0, 0.0)  # the film is made before the clock runs
    async with _producer(under.bootstrap) as producer, Observer(under.bootstrap, under.topics) as observer:
        topic = under.topics.content(Lane.LIVE)
        await _warm_up(producer, topic, observer, payloads, scenario.others, patience)
        if strangers := {a.key.partition("|")[0] for a in observer.seen.answers if a.reason == Reason.UNKNOWN_TENANT.value}:
            unknown = ", ".join(sorted(strangers))
            raise HarnessError(f"found tenants that nobody there knows ({unknown}), expected known ones: name them by --tenants")
        observer.seen.answers.clear()
        sent, samples = list[Sent](), list[Sample]()
        start = time.perf_counter() + LEAD_SECONDS
        producing = asyncio.create_task(produce(producer, topic, schedule(scenario), payloads, start, sent.append))
        beside = [
            asyncio.create_task(_sample(under, scenario, samples)),
            asyncio.create_task(_slow_down(under, scenario, start)),
            asyncio.create_task(_show(progress, scenario, sent, observer)),
        ]
        try:
            watching = _Done(sent, observer.seen, producing)
            await observer.watch(watching, patience)
            await producing
        finally:
            for task in (producing, *beside):
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        if (last := await asyncio.to_thread(under.sample, time.perf_counter())) is not None:
            samples.append(last)
    made = report(sent, observer.seen, samples, seconds=time.perf_counter() - start)
    return Run(scenario, start, sent, observer.seen, samples, made)


class _Done:
    """True once everything sent has what it must end with."""

    def __init__(self, sent: list[Sent], seen: Seen, producing: asyncio.Task[None]) -> None:
        self._sent, self._seen, self._producing = sent, seen, producing
        self._open: dict[str, Sent] = {}
        self._taken = self._answers = self._passed = 0
        self._answered, self._lettered = set[str](), set[str]()

    def __call__(self) -> bool:
        for sent in self._sent[self._taken :]:
            self._open[sent.key] = sent
        for key in [a.key for a in self._seen.answers[self._answers :] if a.status != "provisional"]:
            self._answered.add(key)
        for passed in self._seen.passed[self._passed :]:
            (self._lettered if passed.where == "letter" else self._answered).add(passed.key)
        self._taken, self._answers, self._passed = len(self._sent), len(self._seen.answers), len(self._seen.passed)
        if not self._producing.done():
            return False
        needs = {"verdict": (True, False), "letter": (False, True), "both": (True, True)}
        for key, sent in list(self._open.items()):
            verdict, letter = needs[sent.ends]
            if (key in self._answered or not verdict) and (key in self._lettered or not letter):
                del self._open[key]
        return not self._open


@asynccontextmanager
async def _producer(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=0, max_request_size=MAX_REQUEST
    ) as producer:
        yield producer


async def _warm_up(
    producer: AIOKafkaProducer, topic: str, observer: Observer, payloads: Payloads, tenants: Sequence[str], patience: float
) -> None:
    sent: list[Sent] = []
    dues = (Due(i / WARM_RATE, i, tenants[i % len(tenants)], "warm", "warm", "text") for i in range(WARM))
    producing = asyncio.create_task(produce(producer, topic, dues, payloads, time.perf_counter(), sent.append))
    await observer.watch(lambda: producing.done() and len(observer.seen.answers) >= WARM, patience)
    await producing


async def _sample(under: Under, scenario: Scenario, samples: list[Sample]) -> None:
    pause = max(1.0, scenario.seconds / SAMPLES)
    while (sample := await asyncio.to_thread(under.sample, time.perf_counter())) is not None:
        samples.append(sample)
        await asyncio.sleep(pause)


async def _slow_down(under: Under, scenario: Scenario, start: float) -> None:
    for at, phase in starts(scenario):
        await asyncio.sleep(max(0.0, start + at - time.perf_counter()))
        file = under.control / SLOW
        if phase.slow == 1.0:
            file.unlink(missing_ok=True)
        else:
            file.write_text(str(phase.slow))


async def _show(progress: Progress, scenario: Scenario, sent: list[Sent], observer: Observer) -> None:
    total = sum(1 for _ in schedule(scenario))
    sending, ending = progress.add_task("sent", total=total), progress.add_task("answered", total=total)
    while True:
        progress.update(sending, completed=len(sent))
        progress.update(ending, completed=len(observer.seen.answers) + sum(p.where == "backfill" for p in observer.seen.passed))
        await asyncio.sleep(0.5)
