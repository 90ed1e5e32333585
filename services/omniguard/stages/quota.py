"""Quotas: a token bucket per tenant and process; what is over it waits on the backfill lane, behind nobody's live upload."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from omniguard.domain.tenant import Tenant
from omniguard.ports import Clock

BURST_SECONDS = 5.0
MAX_TENANTS = 10_000
"""Names come from events where the tenants file has a default: the longest unseen one is forgotten, and starts anew."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class Quotas:
    """A tenant may send its quota per second, and that of a few seconds at once. Each worker process counts for itself."""

    def __init__(self, clock: Clock, *, at_once: int) -> None:
        """`at_once` bounds what any tenant may send at once, in events: less than the window, or one fills it alone."""
        self._clock, self._at_once = clock, at_once
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def admit(self, tenant: Tenant) -> bool:
        """Take one token; False if there is none."""
        if tenant.quota is None:
            return True
        now, most = self._clock.monotonic(), max(1.0, min(tenant.quota * BURST_SECONDS, self._at_once))
        bucket = self._buckets.setdefault(tenant.name, _Bucket(most, now))
        self._buckets.move_to_end(tenant.name)
        if len(self._buckets) > MAX_TENANTS:
            self._buckets.popitem(last=False)
        bucket.tokens = min(most, bucket.tokens + (now - bucket.filled_at) * tenant.quota)
        bucket.filled_at = now
        if bucket.tokens < 1.0:
            return False
        bucket.tokens -= 1.0
        return True
