"""Offsets of one partition, finished in any order and released in order."""

from __future__ import annotations

from collections import OrderedDict


class Ledger:
    """Releases an offset only when it and every earlier one are finished.

    Follows the offsets seen: transaction markers and compaction leave gaps. Not thread-safe; one event loop owns it.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._done: OrderedDict[int, bool] = OrderedDict()

    def __len__(self) -> int:
        """Offsets started and not yet released."""
        return len(self._done)

    @property
    def oldest(self) -> int | None:
        """The offset that holds back the rest."""
        return next(iter(self._done), None)

    def start(self, offset: int) -> None:
        """Note an offset as begun.

        Raises:
            ValueError: offsets must grow; a smaller one means the partition was rewound and needs a new ledger.

        """
        last = next(reversed(self._done), None)
        if last is not None and offset <= last:
            raise ValueError(f"offset {offset} came after {last}; expected a larger one: use a new ledger after a rewind")
        self._done[offset] = False

    def finish(self, offset: int) -> list[int]:
        """Note an offset as finished; return those now released, oldest first."""
        self._done[offset] = True
        released = []
        for first, done in self._done.items():
            if not done:
                break
            released.append(first)
        for first in released:
            del self._done[first]
        return released
