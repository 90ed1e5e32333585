"""An hour without the guard, with the real lane maxima, on the in-memory twins and a clock that is turned."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import stage_bench
import turned_clock
from omniguard.adapters.memory_guard import MemoryGuard
from omniguard.adapters.memory_publisher import MemoryPublisher
from omniguard.consume import VerdictTable
from omniguard.contracts import verdict
from omniguard.contracts.verdict import VerdictData
from omniguard.domain.lane import Lane
from omniguard.domain.record import Partition, Record
from omniguard.errors import Reason, Retryable
from omniguard.guard.wire import GuardRequest
from omniguard.ports import Label, Message
from omniguard.stages.window import Window
from stage_bench import Bench, text

HOUR, BESIDE = 3600.0, 60.0
MAXIMUM = 30.0
WINDOW, CONCURRENCY = 4, 4
PATIENCE = 60.0
LABEL_SECONDS = 0.1
SLACK = 0.1
"""Seconds past the deadline: with this clock computing takes none, so that all of it would be waiting."""


class Guard(MemoryGuard):
    """Away for a while: requests wait as they do at an open breaker, until it is back or their time is over."""

    def __init__(self) -> None:
        super().__init__({})
        self.back = asyncio.Event()
        self.back.set()
        self.at_once = self.most_at_once = self.answered = 0

    async def label(self, request: GuardRequest, media: Sequence[bytes], *, affinity: str = "") -> Label:
        limit = PATIENCE if request.deadline_ms is None else request.deadline_ms / 1000
        try:
            async with asyncio.timeout(limit):
                await self.back.wait()
        except TimeoutError:
            raise Retryable(Reason.GUARD_UNAVAILABLE, "away") from None
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(LABEL_SECONDS)
        self.at_once -= 1
        self.answered += 1
        return await super().label(request, media, affinity=affinity)


class Broker(MemoryPublisher):
    """Notes when each verdict came, and hands what is deferred to the late lane."""

    def __init__(self) -> None:
        super().__init__()
        self.late: asyncio.Queue[Message] = asyncio.Queue()
        self.verdicts: list[tuple[float, VerdictData]] = []

    async def publish(self, message: Message) -> None:
        await super().publish(message)
        if message.topic.endswith(".late"):
            self.late.put_nowait(message)
        elif message.topic == "verdicts":
            self.verdicts.append((asyncio.get_running_loop().time(), verdict.decode(message.value or b"", message.headers)))


def lane(broker: Broker, guard: Guard, which: Lane, folder: Path) -> tuple[Bench, Window]:
    maximum = None if which is Lane.LATE else MAXIMUM
    bench = Bench(folder, lane=which, maximum=maximum, guard=guard, publisher=broker, concurrency=CONCURRENCY)
    rules = replace(bench.moderate.rules, late_max_age=86_400.0)
    pipeline = replace(bench.pipeline, moderate=replace(bench.moderate, rules=rules))
    return bench, Window(pipeline.carry, max_events=WINDOW, max_bytes=1 << 28, max_open=1 << 20, progress=lambda: None)


async def an_hour(folder: Path, every: float) -> tuple[Broker, Guard, dict[str, float]]:
    """One upload every so many seconds; the guard goes after a minute, and comes back an hour later."""
    loop, broker, guard = asyncio.get_running_loop(), Broker(), Guard()
    (live, window), (slow, late) = (lane(broker, guard, which, folder) for which in (Lane.LIVE, Lane.LATE))
    uploads: asyncio.Queue[Record] = asyncio.Queue()
    sent: dict[str, float] = {}

    async def upload() -> None:
        while loop.time() < HOUR + 2 * BESIDE:
            name = f"c{len(sent)}"
            sent[name] = loop.time()
            uploads.put_nowait(live.event(text(f"hello {name}"), content_id=name))
            await asyncio.sleep(every)

    async def consume() -> None:
        while True:
            await window.submit(await uploads.get())

    async def consume_late() -> None:
        for offset in range(1 << 30):
            taken = await broker.late.get()
            part = Partition(taken.topic, 0)
            await late.submit(Record(part, offset, taken.key, taken.value, slow.clock.now(), dict(taken.headers)))

    consuming = [asyncio.create_task(consume()), asyncio.create_task(consume_late())]
    uploading = asyncio.create_task(upload())
    await asyncio.sleep(BESIDE)
    guard.back.clear()
    await asyncio.sleep(HOUR)
    guard.back.set()
    await uploading
    while len({v.content_id for _, v in broker.verdicts if v.status == "final"}) < len(sent):
        assert loop.time() < 4 * HOUR, "not all were corrected"
        await asyncio.sleep(30)
    for task in consuming:
        task.cancel()
    for bench in (live, slow):
        await bench.model.close()
    return broker, guard, sent


@pytest.mark.parametrize("every", [6.0, pytest.param(2.0, marks=pytest.mark.long)])
def test_every_upload_of_the_hour_is_answered_in_time_and_corrected_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: float
) -> None:
    """More come than the window could hold for their whole time: those behind it wait in the topic."""
    monkeypatch.setattr(stage_bench, "ManualClock", lambda monotonic: turned_clock.LoopClock())
    broker, guard, sent = turned_clock.run(an_hour(tmp_path, every))
    first: dict[str, tuple[float, VerdictData]] = {}
    said: defaultdict[str, list[VerdictData]] = defaultdict(list)
    for at, made in broker.verdicts:
        first.setdefault(made.content_id, (at, made))
        said[made.content_id].append(made)
    ages = {name: at - sent[name] for name, (at, _) in first.items()}
    assert ages.keys() == sent.keys()
    assert max(ages.values()) <= MAXIMUM + SLACK, "who waits behind a full window is answered at its deadline all the same"
    stranded = [name for name, (_, made) in first.items() if made.status == "indeterminate"]
    assert len(stranded) >= (HOUR - 2 * MAXIMUM) / every
    assert {first[name][1].reason for name in stranded} == {"guard_unavailable"}
    assert "allow" not in {first[name][1].action for name in stranded}
    for name in stranded:
        records = said[name]
        assert [made.status for made in records] == ["indeterminate", "final"]
        for order in (records, records[::-1]):
            table = VerdictTable()
            for each in order:
                table.apply(each)
            standing = table.get(records[0].key)
            assert standing is not None
            assert standing.status == "final"
    assert guard.answered == len(sent), "each is asked about once: nothing is repeated at the recovery"
    assert guard.most_at_once <= 2 * CONCURRENCY, "two processes, each with so many at once"
    late = set(stranded)
    corrected = [at for at, made in broker.verdicts if made.status == "final" and made.content_id in late]
    drained = max(corrected) - (BESIDE + HOUR)
    print(f"{len(sent)} uploads, {len(stranded)} in the hour; the late lane was empty {drained:.0f} s after the guard was back")
