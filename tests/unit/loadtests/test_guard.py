"""The load tests' stand-in: batches, priorities, deadlines."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from loadtests.guard import BATCH, SLOW, PacedGuard

from omniguard.errors import Retryable
from omniguard.guard.wire import GuardRequest, Mode, Priority, WirePart


def ask(priority: int = Priority.LIVE_LABEL, text: str = "a remark", deadline_ms: int | None = None) -> GuardRequest:
    part = WirePart(id="t", modality="text", text=text)
    return GuardRequest(mode=Mode.LABEL, parts=(part,), priority=priority, deadline_ms=deadline_ms)


async def test_live_labels_overtake_those_of_slower_lanes(tmp_path: Path) -> None:
    guard, order = PacedGuard(1.0, tmp_path), list[str]()

    async def label(name: str, priority: int) -> None:
        await guard.label(ask(priority), ())
        order.append(name)

    async with asyncio.TaskGroup() as group:
        for _ in range(2 * BATCH):
            group.create_task(label("late", Priority.LATE_LABEL))
        await asyncio.sleep(0)
        group.create_task(label("live", Priority.LIVE_LABEL))
    assert order.index("live") <= BATCH


async def test_a_deadline_that_passes_in_its_queue_is_said_so(tmp_path: Path) -> None:
    (tmp_path / SLOW).write_text("1000")
    with pytest.raises(Retryable, match="deadline"):
        await PacedGuard(10.0, tmp_path).label(ask(deadline_ms=20), ())


async def test_words_decide(tmp_path: Path) -> None:
    assert (await PacedGuard(0.1, tmp_path).label(ask(text="harm"), ())).event.unsafe > 0.9
