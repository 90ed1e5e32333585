"""A lane is a topic with its own consumer group and Deployment; events move only towards slower ones."""

from __future__ import annotations

from enum import StrEnum


class Lane(StrEnum):
    """From fast to slow. The late lane has no deadline and never defers."""

    LIVE = "live"
    BACKFILL = "backfill"
    LATE = "late"
