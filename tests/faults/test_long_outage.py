"""The guard is away for many deadlines under a backlog, with real workers of two lanes and a real broker.

FAULTS_OUTAGE is how many uploads stand in it.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from contract.guard_protocol import answer, serve
from faults import table
from faults.harness import Installation
from faults.nursery import Nursery
from faults.table import Fault
from omniguard.domain.lane import Lane
from origins import free_ports

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(600)]

EVENTS = int(os.environ.get("FAULTS_OUTAGE", "600"))
DEADLINE, WINDOW, CONCURRENCY = 2, 16, 8
TENANTS = "tenants: {acme: {policy: lite-demo, policy_epoch: 1}}\n"
LIMITS = {"max_text_chars": 1000, "max_frames": 1, "max_pixels": 1, "max_audio_seconds": 1, "max_in_flight": 64, "digest": "d"}


class Guard:
    """What Triton's protocol shows of the guard, at an address that is given up and taken again."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self.labels: list[float] = []
        self.at_once = self.most_at_once = 0
        self._server: Any = None

    async def start(self) -> None:
        _, self._server, _ = await serve(self._play, self.port)

    async def stop(self) -> None:
        await self._server.stop(0)

    async def _play(self, asked: Any, _: Any) -> AsyncIterator[Any]:
        request = json.loads(asked.raw_input_contents[0][4:])
        if request["mode"] == "capabilities":
            told = {"kind": "capabilities", "engine": "e", "modalities": ["text"], "assessed": {"text": []}, **LIMITS}
            yield answer(asked, told)
            return
        self.labels.append(time.monotonic())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.01)
        self.at_once -= 1
        vouched = {"text": [category["name"] for category in request["policy"]]}
        event = {"kind": "label", "label": "safe", "unsafe": 0.0, "final": True, "digest": "d", "assessed": vouched}
        yield answer(asked, event, 0.0)


async def test_every_event_is_answered_at_its_deadline_and_corrected_from_the_late_lane(
    nursery: Nursery, kafka_url: str, topic_prefix: str, tmp_path: Path, seed: int
) -> None:
    events = EVENTS
    guard = Guard()
    await guard.start()
    settings = {
        "triton__addresses": f"127.0.0.1:{guard.port}",
        "triton__patience": "2",
        "worker__live_seconds": str(DEADLINE),
        "worker__window_events": str(WINDOW),
        "worker__judge_concurrency": str(CONCURRENCY),
    }
    async with Installation(nursery, kafka_url, topic_prefix, tmp_path, seed=seed, tenants=TENANTS) as installation:
        await installation.create(partitions=2)
        workers = [await installation.start(lane, **settings) for lane in (Lane.LIVE, Lane.LATE)]
        await installation.upload("before", "hello before")
        await installation.observer.until(lambda seen: seen.verdicts_of("before"))
        await guard.stop()
        began = time.monotonic()
        for number in range(0, events, 100):
            await asyncio.gather(*(installation.upload(f"c{n}", f"hello {n}") for n in range(number, number + 100)))
        sent = time.monotonic()
        seen = await installation.observer.until(lambda seen: len(seen.lanes[Lane.LATE]) == events, 400, "deferrals")
        answered = time.monotonic()
        stranded = [v for v in seen.verdicts if v.content_id != "before"]
        assert {(v.status, v.action == "allow") for v in stranded} == {("indeterminate", False)}
        away = sum(v.reason == "guard_unavailable" for v in stranded)
        # Who had to wait for a place at the guard until the deadline was over says so.
        assert {v.reason for v in stranded} <= {"guard_unavailable", "deadline"}
        assert away >= events / 2
        windows = events / WINDOW * DEADLINE
        assert answered - sent < max(windows / 4, 3 * DEADLINE), "what is overdue when it comes in waits for nothing"
        await guard.start()
        back = time.monotonic()
        await installation.observer.until(
            lambda seen: len({v.key for v in seen.verdicts if v.status == "final"}) == events + 1, 400, "finals"
        )
        corrected = time.monotonic()
        await installation.observer.until_committed(lanes=(Lane.LIVE, Lane.LATE))
        report = await installation.check()
        assert len(guard.labels) <= 1 + events * 1.01, "each is asked about once: nothing is repeated at the recovery"
        assert guard.most_at_once <= CONCURRENCY * len(workers)
        first = min(at for at in guard.labels if at >= back) - back
        peak = max(sum(at <= other < at + 1 for other in guard.labels) for at in guard.labels[:: max(1, events // 100)])
        print(
            f"{events} events sent in {sent - began:.0f} s, all answered {answered - sent:.1f} s after the last; an outage of "
            f"{(back - began) / DEADLINE:.0f} deadlines; first request {first:.2f} s after it, at most {peak} in a second and "
            f"{guard.most_at_once} at once; {away} said that the guard is away; all corrected after {corrected - back:.1f} s"
        )
        assert all(worker.alive for worker in workers)
        table.note(
            Fault(
                "triton",
                "away for many deadlines under a backlog",
                f"{events:,} uploads with a deadline of {DEADLINE} s, answered as guard_unavailable, then corrected",
                events=report.events,
                duplicates=report.duplicates,
                first_seconds=first,
                rest_seconds=corrected - back,
            )
        )
    await guard.stop()
