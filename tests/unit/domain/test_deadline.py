"""Time left: by the worker's clock, and never more than the lane gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from omniguard.domain.deadline import NEVER, deadline_for

PRODUCED = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("own", "ahead", "left"),
    [
        (None, 0, 30),  # clocks agree
        (None, 10, 20),
        (None, 3600, 0),  # a clock that is ahead, or an event that is old: nobody can tell
        (None, -3600, 30),  # a clock that is behind gives nobody an hour
        (20, 10, 10),
        (20, -3600, 30),
        (3600, 0, 30),
        (-3600, 0, 0),  # a producer's clock that is behind: its deadline has passed
    ],
)
def test_time_left_is_the_least_of_all_limits(own: int | None, ahead: int, left: float) -> None:
    """`own` is the event's deadline in seconds after the broker's timestamp, `ahead` our clock against the broker's."""
    event = None if own is None else PRODUCED + timedelta(seconds=own)
    now = PRODUCED + timedelta(seconds=ahead)
    deadline = deadline_for(event=event, produced=PRODUCED, lane_maximum=30.0, now=now, monotonic=500.0)
    assert deadline.left(500.0) == left
    assert deadline.left(500.0 + 5) == max(0, left - 5)


def test_the_late_lane_has_none() -> None:
    now = PRODUCED + timedelta(days=1)
    assert deadline_for(event=PRODUCED, produced=PRODUCED, lane_maximum=None, now=now, monotonic=1.0) == NEVER
