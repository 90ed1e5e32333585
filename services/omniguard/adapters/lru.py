"""A small map that forgets: the least recently used entry when it is full, and every entry after its time."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

V = TypeVar("V")


class Lru(Generic[V]):
    """At most `size` entries, each for at most `ttl` seconds. One event loop owns it."""

    def __init__(self, size: int, ttl: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Start empty."""
        self._size = size
        self._ttl = ttl
        self._monotonic = monotonic
        self._entries: OrderedDict[str, tuple[float, V]] = OrderedDict()

    def __len__(self) -> int:
        """Entries held, those out of time included."""
        return len(self._entries)

    def get(self, key: str) -> V | None:
        """The value, or None if it is absent or out of time."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        expires, value = entry
        if self._monotonic() >= expires:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: str, value: V) -> None:
        """Keep a value as the most recently used one."""
        self._entries[key] = (self._monotonic() + self._ttl, value)
        self._entries.move_to_end(key)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def drop(self, key: str) -> None:
        """Forget a key; an absent one is fine."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget every key."""
        self._entries.clear()
