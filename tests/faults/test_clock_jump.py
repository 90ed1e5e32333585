"""A worker's wall clock jumps an hour forward and back, and producers' clocks are an hour off: nothing is lost."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from faults import table
from faults.clocked import Clocked
from faults.harness import Installation
from faults.metric import metric
from faults.nursery import Nursery
from faults.table import Fault
from faults.worker import Worker
from omniguard.domain.lane import Lane

pytestmark = pytest.mark.stack

HOUR = 3600
LIVE_SECONDS = "12"


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.long)], ids=["port", "whole process"])
def clocks(request: pytest.FixtureRequest, nursery: Nursery, tmp_path: Path) -> Clocked:
    made = Clocked(nursery, tmp_path, whole=request.param)
    print(f"clocks are turned by {made.means}")
    return made


@pytest.fixture
async def installed(
    clocks: Clocked, kafka_url: str, topic_prefix: str, tmp_path: Path, seed: int
) -> AsyncIterator[tuple[Installation, Worker]]:
    """A live and a late worker whose clocks can be turned."""
    async with Installation(clocks, kafka_url, topic_prefix, tmp_path / "i", seed=seed) as made:  # type: ignore[arg-type]
        await made.create(partitions=2)
        # A busy machine must not look like a jump: a worker that is thrown out of its group judges again.
        live = await made.start(wait=False, worker__live_seconds=LIVE_SECONDS, kafka__session_timeout="10")
        late = await made.start(Lane.LATE, wait=False, worker__late_max_age="600", kafka__session_timeout="10")
        for each in (live, late):
            await made.consumes(each, 150)  # a process of its own imports everything anew
        yield made, live


async def test_clocks_an_hour_off_cost_a_second_look_at_most(installed: tuple[Installation, Worker], clocks: Clocked) -> None:
    installation, live = installed
    await _uploads(installation, "before", 4)
    await _finals(installation, 4)

    await installation.upload("held", "hold:held hateword")
    await installation.until_started("held")
    clocks.turn(HOUR)
    jumped = time.monotonic()
    await _uploads(installation, "ahead", 6)
    await _finals(installation, 10)
    ahead = time.monotonic() - jumped
    installation.go("held")
    await _finals(installation, 11)
    assert _said(installation, "held") == [None]  # it began before the jump, and time left is monotonic
    # By this clock the broker took them an hour ago: out of time, but for the late lane, which has none.
    assert all(_said(installation, f"ahead{number}") == ["deadline", None] for number in range(6))

    clocks.turn(-HOUR)
    jumped = time.monotonic()
    await installation.upload("stuck", "hold:stuck hateword")
    await installation.until_started("stuck")
    await _uploads(installation, "behind", 6)
    await _finals(installation, 17)
    assert all(_said(installation, f"behind{number}") == [None] for number in range(6))
    assert await metric(live, "omniguard_lag_age_seconds") >= 0

    clocks.turn(0)
    await _uploads(installation, "after", 4)
    for number, skew in enumerate((HOUR, -HOUR, HOUR, -HOUR)):
        await _from_a_clock_that_is_off(installation, f"skewed{number}", skew)
    await _finals(installation, 25)
    await installation.observer.until(lambda seen: seen.verdicts_of("stuck"), what="an answer in the lane's time")
    assert _said(installation, "stuck") == ["deadline"]  # and not in an hour
    installation.go("stuck")
    await _finals(installation, 26)
    behind = time.monotonic() - jumped
    assert all(_said(installation, f"skewed{number}") == [None] for number in (0, 2))
    assert all(_said(installation, f"skewed{number}") == ["deadline", None] for number in (1, 3))
    name = "omniguard_clock_skew_seconds_"
    assert await metric(live, f"{name}bucket", le="-60.0") >= 2
    assert await metric(live, f"{name}count") - await metric(live, f"{name}bucket", le="60.0") >= 2
    await installation.observer.until_committed(lanes=(Lane.LIVE, Lane.LATE))
    report = await installation.check()
    assert report.events - report.duplicates <= 26 + 6 + 1 + 2 <= report.events
    table.note(
        Fault("clock", "forward", f"an hour, by {clocks.means}; to the last final out of the late lane", 10, 0, 0, None, ahead)
    )
    table.note(Fault("clock", "back", f"two hours, by {clocks.means}; one event hung till its deadline", 7, 0, 0, None, behind))


async def _uploads(installation: Installation, name: str, count: int) -> None:
    for number in range(count):
        await installation.upload(f"{name}{number}", f"{'hello' if number % 2 else 'hateword'} {name} {number}")


async def _from_a_clock_that_is_off(installation: Installation, name: str, skew: int) -> None:
    """An upload of a producer whose clock is `skew` seconds ahead, with a deadline by that clock."""
    said = datetime.now(UTC) + timedelta(seconds=skew)
    parts = [{"id": "p0", "modality": "text", "text": f"hateword {name}"}]
    deadline = (said + timedelta(seconds=60)).isoformat()
    data = {"tenant": "acme", "content_id": name, "content_version": 1, "parts": parts, "deadline": deadline}
    kind = "omniguard.content-event.v1"
    event = {"specversion": "1.0", "type": kind, "source": "/u", "id": name, "time": said.isoformat(), "data": data}
    await installation.raw(f"acme|{name}".encode(), orjson.dumps(event))


async def _finals(installation: Installation, count: int) -> None:
    await installation.observer.until(
        lambda seen: len({v.content_id for v in seen.verdicts if v.status == "final"}) >= count, 150, f"{count} finals"
    )


def _said(installation: Installation, name: str) -> list[str | None]:
    """The reasons of an upload's verdicts, one after another and each once; None: a final."""
    return list(dict.fromkeys(v.reason for v in installation.observer.seen.verdicts_of(name)))
