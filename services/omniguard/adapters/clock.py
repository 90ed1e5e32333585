"""The clock, and its twin that tests turn by hand."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

__all__ = ["ManualClock", "SystemClock"]


class SystemClock:
    """The machine's time."""

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()


class ManualClock:
    """Stands still until told. `advance` turns both times; `skew` moves the wall alone, as a correction by NTP would."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC), monotonic: float = 1000.0) -> None:
        """Start at `now`, which must be aware, and at `monotonic` seconds."""
        self._now = now.astimezone(UTC)
        self._monotonic = monotonic

    def now(self) -> datetime:
        """Aware UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            ValueError: `seconds` is negative; use `skew` to move the wall clock back.

        """
        if seconds < 0:
            raise ValueError(f"found {seconds} s to advance, expected 0 or more: a monotonic clock never goes back")
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds

    def skew(self, seconds: float) -> None:
        """Move the wall clock by `seconds`, back if negative, and leave the monotonic one."""
        self._now += timedelta(seconds=seconds)
