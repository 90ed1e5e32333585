from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from omniguard.adapters.clock import ManualClock, SystemClock
from omniguard.ports import Clock


@pytest.mark.parametrize("clock", [SystemClock(), ManualClock()])
def test_every_clock_tells_aware_utc_and_never_goes_back(clock: Clock) -> None:
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() <= clock.monotonic()


def test_the_manual_clock_stands_until_told() -> None:
    clock = ManualClock(datetime(2026, 5, 1, 12, tzinfo=timezone(timedelta(hours=2))))
    start, monotonic = clock.now(), clock.monotonic()
    assert start.hour == 10
    assert clock.now() == start
    clock.advance(1.5)
    assert (clock.now() - start).total_seconds() == 1.5
    assert clock.monotonic() - monotonic == 1.5
    clock.skew(-10)
    assert (clock.now() - start).total_seconds() == -8.5
    assert clock.monotonic() - monotonic == 1.5


def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="never goes back"):
        ManualClock().advance(-1)
