"""kill -9 of the worker: nothing is lost, and no final verdict is displaced."""

from __future__ import annotations

import signal

import pytest

from faults.harness import SESSION_SECONDS, Installation
from omniguard.domain.lane import Lane
from omniguard.domain.record import Partition

pytestmark = pytest.mark.stack


@pytest.mark.long
async def test_with_a_slow_head_event_in_flight(installation: Installation) -> None:
    """Events behind the head are answered, and their offsets wait for it: between publish and acknowledgement."""
    await installation.create(partitions=2)
    worker = await installation.start()
    await installation.upload("head", "hold:head hateword", partition=0)
    await installation.until_started("head")
    for number in range(20):
        await installation.upload(f"c{number}", "good morning" if number % 3 else "hateword", partition=0)
    await installation.observer.until(lambda seen: seen.ended() == 20, what="verdicts behind the head")
    await installation.upload("witness", "hello", partition=1)
    first, other = (Partition(installation.topics.content(Lane.LIVE), number) for number in (0, 1))
    # The witness's offset is committed, so whatever was released before it is committed too.
    while (await installation.observer.committed()).get(other) != 1:
        assert worker.alive
    await worker.kill()
    await installation.check_killed()
    assert (await installation.observer.committed())[first] == 0
    installation.go("head")
    await installation.start()
    await installation.all_ended(22)
    report = await installation.check()
    assert report.duplicates == 20


async def test_with_a_critique_in_flight(installation: Installation) -> None:
    await installation.create(partitions=1)
    worker = await installation.start()
    await installation.upload("said", "explain:said hateword")
    await installation.until_started("said")
    await installation.observer.until(lambda seen: seen.ended() == 1)
    await worker.kill()
    await installation.check_killed()
    assert not installation.observer.seen.critiques
    installation.go("said")
    await installation.start()
    await installation.all_ended(1)
    await installation.check()


@pytest.mark.long
async def test_again_and_again_with_a_critique_in_flight(installation: Installation) -> None:
    """The suspect that it becomes displaces no final, and the critique that the final promised is answered all the same."""
    await installation.create(partitions=1)
    await installation.upload("said", "explain:said hateword")
    for death in range(1, 4):
        worker = await installation.start()
        await installation.until_started("said", death)
        await worker.kill()
        await installation.check_killed()
    await installation.start()
    await installation.all_ended(1)
    (last,) = {v.reason for v in installation.observer.seen.verdicts if v.status == "indeterminate"}
    assert last == "crash_suspect"
    await installation.check(crash_suspects=["said"])


@pytest.mark.long
async def test_an_event_that_kills_its_worker_is_answered_after_three_deaths(installation: Installation) -> None:
    """Bystanders before, beside and behind it are answered as ever, and the worker that answers it does not touch it."""
    await installation.create(partitions=2)
    for number in range(6):
        await installation.upload(f"before{number}", "hello", partition=number % 2)
    await installation.upload("killer", "kill:killer", partition=0)
    for number in range(12):
        await installation.upload(f"behind{number}", "hateword" if number % 2 else "hello", partition=number % 2)
    for _ in range(3):
        worker = await installation.start()
        assert await worker.gone() == -signal.SIGKILL
        await installation.check_killed()
    survivor = await installation.start()
    await installation.all_ended(19)
    assert installation.started("killer") == 3
    (verdict,) = {(v.status, v.reason) for v in installation.observer.seen.verdicts_of("killer")}
    assert verdict == ("indeterminate", "crash_suspect")
    assert [d.error for d in installation.observer.seen.dead_letters] == ["crash_suspect"]
    assert survivor.alive
    await installation.check(crash_suspects=["killer"])


@pytest.mark.long
async def test_a_worker_that_was_frozen_and_evicted_displaces_nothing(installation: Installation) -> None:
    """Its partitions went to another worker; when it goes on it works from an assignment that it no longer has."""
    await installation.create(partitions=1)
    frozen = await installation.start()
    await installation.upload("x", "hold:x hateword")
    await installation.until_started("x")
    frozen.signal(signal.SIGSTOP)
    other = await installation.start()
    await installation.until_started("x", 2, seconds=60 + 10 * SESSION_SECONDS)
    await installation.upload("y", "hateword")
    await installation.observer.until(lambda seen: seen.verdicts_of("y"))
    installation.go("x")
    frozen.signal(signal.SIGCONT)
    await installation.all_ended(2)
    await installation.check()
    assert frozen.alive
    assert other.alive
    await other.kill()
    await installation.upload("z", "hello")
    await installation.all_ended(3)
    await installation.check()
