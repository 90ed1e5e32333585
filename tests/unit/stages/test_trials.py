"""An upload that kills the guard's process is found out, and nobody who was beside it is taken for it."""

from __future__ import annotations

import asyncio
import random

import pytest

from omniguard.adapters.memory_assessments import MemoryAssessmentStore
from omniguard.domain.reason import Reason
from omniguard.errors import BadContent, ModelDied
from omniguard.stages.trials import MAX_DEATHS, Suspicion, Trials


class Process:
    """The guard's process: a killer's request ends it, and with it all that is under way; the next one is there at once."""

    def __init__(self, killers: set[str]) -> None:
        self.killers, self.deaths = killers, 0
        self.under_way: dict[asyncio.Future[None], str] = {}
        self.most_beside: list[int] = []

    async def ask(self, name: str) -> str:
        died: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.under_way[died] = name
        try:
            await asyncio.wait({died}, timeout=0.005)
            if name in self.killers and not died.done():
                self.deaths += 1
                self.most_beside.append(len(self.under_way) - 1)
                for each in tuple(self.under_way):
                    each.set_exception(ModelDied("gone", death=f"death {self.deaths}"))
            if died.done():
                died.result()
            return name
        finally:
            del self.under_way[died]


class Worker:
    """A worker process: its own trials, one store with the others."""

    def __init__(self, process: Process, store: MemoryAssessmentStore) -> None:
        self.process, self.trials = process, Trials(store, name="omniguard")

    async def carry(self, name: str, *, recall: bool = False) -> str | Reason:
        try:
            return await self.trials.ask(Suspicion(f"deaths/{name}", recall=recall), lambda: self.process.ask(name))
        except BadContent as error:
            return error.reason


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("killers", [1, 4])
async def test_killers_end_as_suspects_and_all_others_are_answered(workers: int, killers: int) -> None:
    names = [f"c{n}" for n in range(60)]
    random.shuffle(names)
    guilty = set(names[:killers])
    process, store = Process(guilty), MemoryAssessmentStore()
    fleet = [Worker(process, store) for _ in range(workers)]
    random.shuffle(names)
    ended = await asyncio.gather(*(random.choice(fleet).carry(name) for name in names))
    assert {name for name, end in zip(names, ended, strict=True) if end is Reason.CRASH_SUSPECT} == guilty
    assert [end for name, end in zip(names, ended, strict=True) if name not in guilty] == [n for n in names if n not in guilty]
    assert process.deaths <= MAX_DEATHS * killers


async def test_deaths_counted_on_one_lane_are_known_on_the_late_one() -> None:
    process, store = Process({"killer"}), MemoryAssessmentStore()
    for _ in range(2):
        await store.attempt("deaths/killer")
    worker = Worker(process, store)
    ends = [worker.carry(name, recall=True) for name in ("a", "killer", "b")]
    assert await asyncio.gather(*ends) == ["a", Reason.CRASH_SUSPECT, "b"]
    assert process.deaths == 1
    assert process.most_beside == [0], "alone from its first request on"


async def test_once_answered_so_a_replay_begins_anew() -> None:
    process, store = Process({"killer"}), MemoryAssessmentStore()
    assert await Worker(process, store).carry("killer") is Reason.CRASH_SUSPECT
    process.killers.clear()
    assert await Worker(process, store).carry("killer", recall=True) == "killer"
    assert process.deaths == MAX_DEATHS


async def test_three_deaths_in_company_make_nobody_a_suspect() -> None:
    process, store = Process(set()), MemoryAssessmentStore()
    for _ in range(5):
        await store.attempt("deaths/bystander")
    assert await Worker(process, store).carry("bystander", recall=True) == "bystander"


async def test_a_store_that_forgets_does_not_let_a_killer_go_on() -> None:
    class Forgetful(MemoryAssessmentStore):
        async def attempt(self, record: str) -> int:
            return 1

    process = Process({"killer"})
    assert await Worker(process, Forgetful()).carry("killer") is Reason.CRASH_SUSPECT
    assert process.deaths == MAX_DEATHS


async def test_who_is_cancelled_on_trial_keeps_nobody_waiting() -> None:
    process, store = Process(set()), MemoryAssessmentStore()
    worker, held = Worker(process, store), asyncio.Event()

    async def hang() -> None:
        held.set()
        await asyncio.Event().wait()

    await store.attempt("deaths/suspect")
    trial = asyncio.create_task(worker.trials.ask(Suspicion("deaths/suspect", recall=True), hang))
    await held.wait()
    waiting = [asyncio.create_task(worker.carry(name)) for name in ("a", "b")]
    await asyncio.sleep(0)
    assert not process.under_way, "nothing beside a trial"
    trial.cancel()
    assert await asyncio.wait_for(asyncio.gather(*waiting), 10) == ["a", "b"]


async def test_a_killer_hears_its_verdict_without_waiting_for_the_trials_of_others() -> None:
    class Slow(MemoryAssessmentStore):
        async def attempt(self, record: str) -> int:
            await asyncio.wait_for(held.wait(), 10)
            return await super().attempt(record)

    held = asyncio.Event()
    process, store = Process({"killer"}), Slow()
    for name in ("killer", "killer", "other"):
        await MemoryAssessmentStore.attempt(store, f"deaths/{name}")
    worker = Worker(process, store)

    async def hang() -> None:
        held.set()
        await asyncio.Event().wait()

    verdict = asyncio.create_task(worker.carry("killer", recall=True))
    while not process.under_way:  # noqa: ASYNC110
        await asyncio.sleep(0)
    other = asyncio.create_task(worker.trials.ask(Suspicion("deaths/other", recall=True), hang))
    assert await asyncio.wait_for(verdict, 10) is Reason.CRASH_SUSPECT
    assert not other.done()
    other.cancel()
    await asyncio.wait({other})
