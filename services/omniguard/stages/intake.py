"""Intake: counts starts outside the process, spots deletions and suspects, and hands records to the window."""

from __future__ import annotations

from omniguard.contracts.content_event import CONTENT_DELETED, parse
from omniguard.domain.content import Deletion
from omniguard.domain.record import Record
from omniguard.errors import Poison
from omniguard.ports import AssessmentStore
from omniguard.stages.window import Window

MAX_ATTEMPTS = 3
"""An event that was under way in this many deaths of a worker is answered without being touched again."""
ALONE_FROM = 3
"""From this start on an event runs alone, so that a further death is counted against it and no bystander."""


class Intake:
    """Takes records in the order of their partition."""

    def __init__(self, window: Window, store: AssessmentStore) -> None:
        """`store` counts the starts."""
        self._window, self._store = window, store

    async def take(self, record: Record) -> None:
        """Wait for room and start the record; it is dropped only if its partition was revoked, and then comes again."""
        attempts = await self._store.attempt(record.id)
        alone = ALONE_FROM <= attempts <= MAX_ATTEMPTS
        if not await self._window.submit(record, attempts=attempts, cancels=_is_deletion(record), alone=alone):
            await self._store.settle(record.id)


def _is_deletion(record: Record) -> bool:
    marker = CONTENT_DELETED.encode()
    if marker not in (record.value or b"") and marker not in record.headers.values():
        return False
    try:
        return isinstance(parse(record.key, record.value, record.headers), Deletion)
    except Poison:
        return False
