"""Intake: counts starts outside the process, spots deletions and suspects, and hands records to the window."""

from __future__ import annotations

import asyncio
from datetime import datetime

from omniguard.contracts.content_event import CONTENT_DELETED, parse
from omniguard.domain.content import Deletion, Upload
from omniguard.domain.record import Record
from omniguard.ports import AssessmentStore
from omniguard.stages.letter_limit import LetterLimit
from omniguard.stages.window import Cancels, Window

MAX_ATTEMPTS = 3
"""An event that was under way in this many deaths of a worker is answered without being touched again."""
ALONE_FROM = 3
"""From this start on an event runs alone, so that a further death is counted against it and no bystander."""


class Intake:
    """Takes records in the order of their partition."""

    def __init__(self, window: Window, store: AssessmentStore, limit: LetterLimit | None = None) -> None:
        """`store` counts the starts; once the `limit` of dead letters is reached nothing more is taken."""
        self._window, self._store, self._limit = window, store, limit
        self._in_hand: Record | None = None

    @property
    def oldest(self) -> datetime | None:
        """The broker's timestamp of the oldest event that is short of its verdict or waits for room."""
        times = (self._window.oldest, self._in_hand.timestamp if self._in_hand else None)
        return min((time for time in times if time is not None), default=None)

    async def take(self, record: Record) -> None:
        """Wait for room and start the record; it is dropped only if its partition was revoked, and then comes again."""
        self._in_hand = record
        try:
            await self._take(record, self._window.epoch)
        finally:
            self._in_hand = None

    async def _take(self, record: Record, epoch: int) -> None:
        if self._limit is not None:
            await self._limit.open()
        attempts = await self._store.attempt(record.id)
        if alone := ALONE_FROM <= attempts <= MAX_ATTEMPTS:
            # A death while it waits for the others to end is theirs.
            await self._store.give_back(record.id)
            if not await self._window.room(epoch, alone=True):
                return
            attempts = await self._store.attempt(record.id)
        if not await self._window.submit(record, attempts=attempts, cancels=_cancels(record), alone=alone, epoch=epoch):
            await self._store.give_back(record.id)

    async def drain(self, timeout: float) -> int:
        """End what runs, within `timeout` seconds; see `Window.drain`. Returns how many events were cut off.

        Being given back is not an event's fault, so its start does not count; one that only waited for its turn had no chance to
        say so itself.
        """
        given_back = await self._window.drain(timeout)
        await asyncio.gather(*(self._store.give_back(slot.record.id) for slot in given_back if not slot.began))
        return len(given_back)


def _cancels(record: Record) -> Cancels | None:
    """Which earlier events of its key a deletion makes pointless: uploads of the same content that it is not older than."""
    marker = CONTENT_DELETED.encode()
    if marker not in (record.value or b"") and marker not in record.headers.values():
        return None
    deletion = _parsed(record)
    if not isinstance(deletion, Deletion):
        return None
    deleted = deletion.identity

    def cancels(other: Record) -> bool:
        event = _parsed(other)
        if not isinstance(event, Upload):
            return False
        return event.identity.key == deleted.key and event.identity.content_version <= deleted.content_version

    return cancels


def _parsed(record: Record) -> Upload | Deletion | None:
    try:
        return parse(record.key, record.value, record.headers)
    except Exception:  # noqa: BLE001  the border: what cannot be read must not stop the lane; its handler says what is wrong
        return None
