"""Which of several servers a request goes to: rendezvous hashing with bounded loads."""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

__all__ = ["Loads", "rendezvous"]

_SLACK = 0.25
"""How far above the average an address may be. Less moves more requests off their own server; more balances worse."""


def rendezvous(affinity: str, addresses: Sequence[str]) -> list[str]:
    """Addresses by highest random weight: a content keeps its server, and one that goes moves only its own contents.

    Without an affinity the order is random.
    """
    if not affinity:
        return random.sample(list(addresses), len(addresses))
    return sorted(addresses, key=lambda a: hashlib.blake2b(f"{affinity}\x00{a}".encode(), digest_size=8).digest(), reverse=True)


class Loads:
    """Requests under way at each address, of this process alone.

    As in consistent hashing with bounded loads (arXiv 1608.01350), but on the rendezvous order: an address that has its share
    and a quarter more is passed over for the next one. Nothing is shared between processes: each keeps to its own bound, so that
    all of them together do.
    """

    def __init__(self) -> None:
        """Nothing is under way."""
        self._at: Counter[str] = Counter()

    def bound(self, addresses: Sequence[str]) -> int:
        """What each of these may have at most, the next request included."""
        return math.ceil((1 + _SLACK) * (sum(self._at[address] for address in addresses) + 1) / len(addresses))

    def choose(self, affinity: str, addresses: Sequence[str]) -> str:
        """The first in the order of this affinity that stays within the bound; at least one does."""
        bound = self.bound(addresses)
        return next(address for address in rendezvous(affinity, addresses) if self._at[address] < bound)

    @contextmanager
    def under_way(self, address: str) -> Iterator[None]:
        """Count a request while the block runs."""
        self._at[address] += 1
        try:
            yield
        finally:
            self._at[address] -= 1
            if not self._at[address]:
                del self._at[address]
