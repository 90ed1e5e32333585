"""One deadline is shared by every step of an event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point on the monotonic clock, in seconds; infinite on the slowest lane."""

    at: float

    def left(self, monotonic: float) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - monotonic)

    def passed(self, monotonic: float) -> bool:
        """True once nothing is left."""
        return monotonic >= self.at


NEVER = Deadline(float("inf"))


def deadline_for(
    *, event: datetime | None, produced: datetime, lane_maximum: float | None, now: datetime, monotonic: float
) -> Deadline:
    """The smaller of the event's own deadline and (broker timestamp + the lane's maximum), put on the monotonic clock.

    `lane_maximum` is in seconds; None on the slowest lane, which has no deadline and ignores the event's own. Nothing has more
    time left than that, even where this machine's clock is behind the broker's.
    """
    if lane_maximum is None:
        return NEVER
    at = produced + timedelta(seconds=lane_maximum)
    if event is not None:
        at = min(at, event)
    return Deadline(monotonic + min((at - now).total_seconds(), lane_maximum))
