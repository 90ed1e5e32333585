from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from omniguard.domain.record import Partition, Record
from omniguard.stages.waits import Waits
from omniguard.stages.window import Slot, Window


def record(offset: int) -> Record:
    return Record(Partition("content-events", 0), offset, b"k%d" % offset, b"", datetime.now(UTC))


def test_what_waits_now_counts_up_to_now() -> None:
    now = [0.0]
    waits = Waits(lambda: now[0])
    with waits.counted("events"):
        now[0] = 2.0
        assert waits.seconds == {"events": 2.0}
        with waits.counted("bytes"):
            now[0] = 3.0
    now[0] = 9.0
    assert waits.seconds == {"events": 3.0, "bytes": 1.0}


async def test_the_window_says_which_limit_a_record_waits_for() -> None:
    go = asyncio.Event()

    async def hold(_: Record, slot: Slot) -> None:
        slot.weigh(1000)
        await go.wait()

    window = Window(hold, max_events=1, max_bytes=500, max_open=10, progress=lambda: None)
    await window.submit(record(0))
    await asyncio.sleep(0)
    assert window.used["events"] == 1
    assert window.used["bytes"] >= 0.5
    assert window.used["open"] == 0.1
    waiting = asyncio.create_task(window.submit(record(1)))
    await asyncio.sleep(0)
    assert window.waits.seconds.keys() == {"events"}
    go.set()
    assert await waiting
    await window.drain(1.0)
    assert window.used == {"events": 0, "bytes": 0, "open": 0}
