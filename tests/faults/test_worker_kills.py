"""kill -9 of the worker: nothing is lost, and no final verdict is displaced."""

from __future__ import annotations

import pytest

from faults.harness import Installation

pytestmark = pytest.mark.stack


async def test_with_a_slow_head_event_in_flight(installation: Installation) -> None:
    """Events behind the head are answered, and their offsets wait for it: between publish and acknowledgement."""
    await installation.create(partitions=1)
    worker = await installation.start()
    await installation.upload("head", "hold:head hateword")
    await installation.until_started("head")
    for number in range(20):
        await installation.upload(f"c{number}", "good morning" if number % 3 else "hateword")
    await installation.observer.until(lambda seen: seen.ended() == 20, what="verdicts behind the head")
    await worker.kill()
    await installation.check_killed()
    assert set((await installation.observer.committed()).values()) == {0}
    installation.go("head")
    await installation.start()
    await installation.all_ended(21)
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
