"""Partitions move while work is in flight; a worker is told to stop. Waiting is bounded, and what is cut off comes again."""

from __future__ import annotations

import signal

import pytest

from faults.harness import Installation, eventually
from omniguard.domain.lane import Lane

pytestmark = pytest.mark.stack


@pytest.mark.long
async def test_a_third_worker_joins_while_a_long_event_runs(installation: Installation) -> None:
    """The event outlasts the drain limit, so it is cut off and run again by whoever has its partition then."""
    await installation.create(partitions=3)
    workers = [await installation.start(), await installation.start()]
    await installation.upload("long", "hold:long hateword", partition=0)
    await installation.until_started("long")
    for number in range(30):
        await installation.upload(f"c{number}", "hateword" if number % 4 == 0 else "hello", partition=number % 3)
    await installation.observer.until(lambda seen: seen.ended() == 30)
    assert (await installation.observer.committed()).get(_first(installation), 0) == 0
    workers.append(await installation.start())
    await installation.until_started("long", 2)
    installation.go("long")
    await installation.all_ended(31)
    assert all(worker.alive for worker in workers)
    await installation.check()


@pytest.mark.long
async def test_waiting_its_turn_through_many_rebalances_makes_nobody_a_suspect(installation: Installation) -> None:
    """Four times in a row the head and what waits behind it under the same key are given back in an orderly way."""
    await installation.create(partitions=1)
    await installation.upload("same", "hold:head hello")
    await installation.upload("same", "hateword", content_version=2)
    await installation.upload("other", "explain:other hateword")
    for start in range(1, 5):
        worker = await installation.start(worker__drain_timeout="0.5")
        await installation.until_started("head", start)
        await installation.until_started("other", start)
        worker.signal(signal.SIGTERM)
        assert await worker.gone() == 0
        await installation.check_killed()
    installation.go("head")
    installation.go("other")
    await installation.start()
    await installation.all_ended(3)
    await installation.check()


async def test_sigterm_lets_running_work_end_and_cuts_off_the_rest(installation: Installation) -> None:
    await installation.create(partitions=2)
    worker = await installation.start()
    await installation.upload("short", "hold:short hateword", partition=0)
    await installation.upload("long", "hold:long hateword", partition=1)
    await installation.until_started("short")
    await installation.until_started("long")
    worker.signal(signal.SIGTERM)
    installation.go("short")
    assert await worker.gone() == 0, worker.tail()
    await installation.check_killed()
    seen = installation.observer.seen
    assert seen.verdicts_of("short")
    assert not seen.verdicts_of("long")
    committed = await installation.observer.committed()
    assert sorted(committed.values()) == [0, 1]
    installation.go("long")
    await installation.start()
    await installation.all_ended(2)
    report = await installation.check()
    assert report.duplicates == 0


@pytest.mark.long
async def test_sigterm_with_a_critique_in_flight_answers_it(installation: Installation) -> None:
    """Its deadline may be over when the event comes again, so nobody else would answer it."""
    await installation.create(partitions=1)
    worker = await installation.start()
    await installation.upload("said", "explain:said hateword")
    await installation.until_started("said")
    worker.signal(signal.SIGTERM)
    assert await worker.gone() == 0, worker.tail()
    await installation.check_killed()
    await installation.check()
    (answer,) = installation.observer.seen.critiques
    assert answer.none == "unavailable"


@pytest.mark.long
async def test_sigterm_while_the_window_is_full(installation: Installation) -> None:
    """Intake waits for room and hears of the stop all the same."""
    await installation.create(partitions=1)
    worker = await installation.start(worker__window_events="2")
    for number in range(8):
        await installation.upload(f"c{number}", f"hold:all hello {number}")
    await installation.until_started("all", 2)
    worker.signal(signal.SIGTERM)
    assert await worker.gone() == 0, worker.tail()
    await installation.check_killed()
    installation.go("all")
    await installation.start()
    await installation.all_ended(8)
    await installation.check()


@pytest.mark.long
async def test_sigterm_while_it_starts(installation: Installation) -> None:
    """Faust is cut off between the start of its threads and their first word; the process ends all the same."""
    await installation.create(partitions=1)
    worker = await installation.start(wait=False)
    await eventually(lambda: worker.log.exists() and "GuardApp]: Starting" in worker.log.read_text(), 60, "the start of Faust")
    worker.signal(signal.SIGTERM)
    assert await worker.gone() == 0, worker.tail()
    await installation.upload("x", "hateword")
    await installation.start()
    await installation.all_ended(1)
    await installation.check()


async def test_a_rebalance_with_acknowledged_work_behind_an_unfinished_head(installation: Installation) -> None:
    """Verdicts are out and their offsets are not: the new owner answers them again with the same ids."""
    await installation.create(partitions=1)
    first = await installation.start()
    await installation.upload("head", "hold:head hello")
    await installation.until_started("head")
    for number in range(10):
        await installation.upload(f"c{number}", "hateword")
    await installation.observer.until(lambda seen: seen.ended() == 10 and len(seen.critiques) == 10)
    second = await installation.start()
    first.signal(signal.SIGTERM)
    assert await first.gone() == 0
    await installation.until_started("head", 2)
    installation.go("head")
    await installation.all_ended(11)
    report = await installation.check()
    # Once by whoever has the partition after the second worker joined, and again where that was the first.
    assert 10 <= report.duplicates <= 20
    assert second.alive


def _first(installation: Installation) -> object:
    from omniguard.domain.record import Partition

    return Partition(installation.topics.content(Lane.LIVE), 0)
