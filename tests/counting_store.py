"""The Redis store as tests want it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from omniguard.adapters.redis_link import connect
from omniguard.adapters.redis_store import RedisAssessmentStore, StoreSettings


class CountingStore(RedisAssessmentStore):
    """Remembers what it counted. Its process cache is off unless asked for, so that Redis is what answers."""

    def __init__(self, url: str, state: Path, *, cluster: bool = False, **settings: float) -> None:
        """`settings` as for `StoreSettings`."""
        self.errors: Counter[str] = Counter()
        chosen = StoreSettings(**{"local_ttl": 0.0, "lease": 1.0, **settings})
        super().__init__(connect(url, cluster=cluster), state=state, on_error=self._note_error, settings=chosen)

    def _note_error(self, kind: str) -> None:
        self.errors[kind] += 1
