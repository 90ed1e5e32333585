"""The bounded window of events in flight, and the offsets that may be committed.

An event enters, is carried to its verdict, leaves the window (its critique may still be written), and ends. Offsets are released
strictly in order per partition, so no commit ever passes an unfinished event. Events of one key run one after another.
Knows nothing of Faust: the worker, the benchmark's bare consumer and the tests drive the same class.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Protocol

from omniguard.domain.ledger import Ledger
from omniguard.domain.record import Partition, Record
from omniguard.stages.slot import Slot
from omniguard.stages.waits import Limit, Waits

__all__ = ["Cancels", "Handler", "Slot", "Window"]

HURRY_SHARE = 0.25
"""Of the time to drain: what answers take that are cut short."""
CANCEL_SECONDS = 2.0
"""What an event that is cancelled may take to give itself back."""

Cancels = Callable[[Record], bool]
"""Whether a deletion ends this earlier event of its key."""


class Handler(Protocol):
    """Carries one event from end to end. Must not raise: what it cannot do, it publishes as such."""

    def __call__(self, record: Record, slot: Slot) -> Awaitable[None]:
        """Return when the event is done: its verdict, and its critique or the reason why none, are acknowledged."""


class Window:
    """At most `max_events` events and about `max_bytes` bytes short of their verdict, at most `max_open` short of their end."""

    def __init__(self, handle: Handler, *, max_events: int, max_bytes: int, max_open: int, progress: Callable[[], None]) -> None:
        """`progress` is called whenever an event starts or ends; liveness rests on it."""
        self._handle = handle
        self._max_events, self._max_bytes, self._max_open = max_events, max_bytes, max_open
        self.progress = progress
        self._events = self._bytes = 0
        self._suspect = False
        self._returning = asyncio.Lock()
        self.waits = Waits()
        self._changed = asyncio.Event()
        self._epoch = 0
        self._ledgers: dict[Partition, Ledger] = {}
        self._running: dict[asyncio.Task[None], Slot] = {}
        self._latest: dict[bytes, Slot] = {}
        self._committable: dict[Partition, int] = {}
        self._crash: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def waiting_for_verdict(self) -> int:
        """Events in the label window; those that rest are not in it."""
        return self._events

    @property
    def heaviest(self) -> int:
        """Bytes that one event counts for at most."""
        return self._max_bytes // 2

    @property
    def bytes_held(self) -> int:
        """Bytes of the events in the label window."""
        return self._bytes

    @property
    def used(self) -> Mapping[str, float]:
        """Share of each limit; over 1 where the last one taken in was large."""
        return {
            "events": self.waiting_for_verdict / self._max_events,
            "bytes": self._bytes / self._max_bytes,
            "open": self.open / self._max_open,
        }

    @property
    def oldest(self) -> datetime | None:
        """The broker's timestamp of the oldest event short of its verdict."""
        return min((slot.record.timestamp for slot in self._running.values() if not slot.left.is_set()), default=None)

    @property
    def epoch(self) -> int:
        """Grows with every drain: a record that was taken in under an older one belongs to an assignment that is gone."""
        return self._epoch

    @property
    def open(self) -> int:
        """Offsets started and not yet released, over all partitions."""
        return sum(len(ledger) for ledger in self._ledgers.values())

    @property
    def crashed(self) -> asyncio.Future[None]:
        """Fails with the first error that a handler let out: a bug of ours. The process must end; nothing was acknowledged."""
        return self._crash

    def count(self, events: int) -> None:
        """Account for events that come into the label window or leave it."""
        self._events += events
        if events < 0:
            self._changed.set()

    @asynccontextmanager
    async def rest(self, slot: Slot) -> AsyncIterator[None]:
        """See `Slot.resting`. The block ends when there is room again, and no suspect of crashes runs alone."""
        slot.rests = True
        self.count(-1)
        try:
            yield
            async with self._returning:  # one after another: thousands that look whenever something changes would stop the loop
                while self._suspect or self._events >= self._max_events:
                    await self._change()
        finally:
            slot.rests = False
            self.count(+1)

    def resize(self, size: int) -> None:
        """Account for bytes held; wakes intake when they go."""
        self._bytes += size
        if size < 0:
            self._changed.set()

    async def submit(
        self, record: Record, *, attempts: int = 1, cancels: Cancels | None = None, alone: bool = False, epoch: int | None = None
    ) -> bool:
        """Wait for room and start the event.

        Args:
            record: the event.
            attempts: its starts so far, this one included.
            cancels: which earlier events of its key it ends first; None: none.
            alone: run it with no other.
            epoch: `Window.epoch` at the time the record came; None: now.

        Returns False if the partitions were revoked meanwhile: the record will be delivered again.

        """
        if not await self.room(self._epoch if epoch is None else epoch, alone=alone):
            return False
        task = self._start(record, attempts, cancels)
        if alone:
            self._suspect, slot = True, self._running[task]
            with self.waits.counted("alone"):
                while not (task.done() or slot.rests):  # who rests has survived a try
                    await self._change()
            self._end_alone()
        return True

    async def room(self, epoch: int, *, alone: bool = False) -> bool:
        """Wait for room, `alone` for that of a suspect, which goes before those that rested; False if `epoch` is over."""
        self._suspect = alone and self._epoch == epoch  # also where there is room: nobody may take it while a start is counted
        while self._epoch == epoch and (limit := self._reached(alone)):
            with self.waits.counted(limit):
                await self._change()
        return self._epoch == epoch

    def _end_alone(self) -> None:
        self._suspect = False
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def drain(self, timeout: float) -> list[Slot]:
        """Give running events `timeout` seconds, cancel the rest, and forget all offsets. Returns the slots cancelled.

        What is behind its verdict already is told to hurry when `HURRY_SHARE` of the time is left. Offsets released so far stay
        in `take_committable`. Events cancelled here are never released.
        """
        self._epoch += 1
        self._end_alone()
        if self._running:
            await asyncio.wait(set(self._running), timeout=timeout * (1 - HURRY_SHARE))
        for slot in self._running.values():
            slot.hurry.set()
        if self._running:
            await asyncio.wait(set(self._running), timeout=timeout * HURRY_SHARE)
        unfinished = dict(self._running)
        left = set(unfinished)
        while left:  # one that still waits for the broker behind its cancelling is cancelled again
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=CANCEL_SECONDS)
        self._ledgers.clear()
        return list(unfinished.values())

    def fail(self, error: BaseException) -> None:
        """Report a bug: see `crashed`."""
        if not self._crash.done():
            self._crash.set_exception(error)

    def take_committable(self) -> dict[Partition, int]:
        """Offsets to commit (the next to read), once each."""
        taken, self._committable = self._committable, {}
        return taken

    def put_back(self, offsets: Mapping[Partition, int], epoch: int) -> None:
        """Offer offsets again that could not be committed, unless they belong to an assignment that is gone."""
        if epoch == self._epoch:
            self._committable = {**offsets, **self._committable}

    def _reached(self, alone: bool) -> Limit | None:
        """What leaves no room for a record, None if there is room."""
        if alone:
            return "alone" if any(not slot.rests for slot in self._running.values()) else None
        used = self.used
        return next((limit for limit in ("events", "bytes", "open") if used[limit] >= 1), None)

    def _start(self, record: Record, attempts: int, cancels: Cancels | None) -> asyncio.Task[None]:
        slot = Slot(self, record, attempts)
        self.count(+1)
        self.resize(record.size)
        self._ledgers.setdefault(record.partition, Ledger()).start(record.offset)
        key = record.key or b""
        before = [self._latest[key]] if key in self._latest else []
        if cancels is not None:
            # All of them, for one that is cancelled ends before what it waited for.
            before = [other for other in self._running.values() if (other.record.key or b"") == key]
            self._cancel([other for other in before if cancels(other.record)])
        self._latest[key] = slot
        task = asyncio.create_task(self._run(slot, before), name=record.id)
        self._running[task] = slot
        task.add_done_callback(lambda done: self._ended(done, slot))
        self.progress()
        return task

    async def _run(self, slot: Slot, before: list[Slot]) -> None:
        if any(not other.left.is_set() for other in before):
            async with slot.resting():
                for other in before:
                    await other.left.wait()
        slot.began = True
        await self._handle(slot.record, slot)

    def _cancel(self, slots: list[Slot]) -> None:
        for task, slot in self._running.items():
            if slot in slots:
                slot.superseded = True
                # Its handler ends one that waits for its turn: that settles its starts, and answers what one of them promised.
                if slot.owes or slot.left.is_set() or not slot.began:
                    slot.hurry.set()
                else:
                    task.cancel()

    def _ended(self, task: asyncio.Task[None], slot: Slot) -> None:
        del self._running[task]
        slot.leave()
        if self._latest.get(slot.record.key or b"") is slot:
            del self._latest[slot.record.key or b""]
        if task.cancelled():
            released = slot.superseded and not slot.owes
        elif error := task.exception():
            released = False
            self.fail(error)
        else:
            released = True
        ledger = self._ledgers.get(slot.record.partition)
        if released and ledger is not None:
            for offset in ledger.finish(slot.record.offset):
                self._committable[slot.record.partition] = offset + 1
        self.progress()
        self._changed.set()
