"""For the side that enforces: apply verdicts by the contract's rule, and notice the ones that never come.

    A record is applied if its (content_version, policy_epoch, revision) is larger than what stands for its content.
    Of two records with one verdict_id the first stands.

Needs aiokafka only for `consume`.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Protocol

from omniguard.contracts.critique import CritiqueData
from omniguard.contracts.verdict import VerdictData, decode
from omniguard.domain.decision import Status
from omniguard.domain.tenant import RESERVED

__all__ = [
    "CritiqueData",
    "EnforcementTimer",
    "Order",
    "Table",
    "VerdictData",
    "VerdictTable",
    "consume",
    "decode",
    "is_probe",
    "newer",
]

Order = tuple[int, int, int]
"""content_version, policy_epoch, revision."""


def newer(verdict: VerdictData, standing: Order | None) -> bool:
    """True if the verdict is to be applied over what stands (None: nothing stands)."""
    return standing is None or verdict.order > standing


def is_probe(verdict: VerdictData) -> bool:
    """True for an upload of the installation itself (`omniguard probe`): no platform has such a content, so none enforces it."""
    return verdict.tenant == RESERVED


class Table(Protocol):
    """What stands for each content, as far as the platform keeps it. The check and the write must be one step."""

    def apply(self, verdict: VerdictData) -> bool | Awaitable[bool]:
        """Keep the verdict if it is newer; return whether it was."""


class VerdictTable:
    """A table in memory. It forgets at a restart: then read the topic from its beginning, or keep the order in a database."""

    def __init__(self) -> None:
        """Start empty."""
        self._standing: dict[str, VerdictData] = {}

    def __len__(self) -> int:
        """Contents of which something was said."""
        return len(self._standing)

    def get(self, key: str) -> VerdictData | None:
        """What stands for `tenant|content_id`. A retracted verdict stands too: it keeps older records from coming back."""
        return self._standing.get(key)

    def apply(self, verdict: VerdictData) -> bool:
        """Keep the verdict if it is newer; return whether it was."""
        standing = self._standing.get(verdict.key)
        if not newer(verdict, standing.order if standing else None):
            return False
        self._standing[verdict.key] = verdict
        return True


class EnforcementTimer:
    """The enforcing side's own timer: a deadline inside the event binds OmniGuard only once the event was consumed.

    A verdict of any status but provisional, for this version or a later one, counts as an answer; it does not matter whether it
    came before or after `expect`. Belongs to one event loop.
    """

    def __init__(self, standing: Callable[[str], VerdictData | None], on_silence: Callable[[str, int], None]) -> None:
        """`standing` is `VerdictTable.get` or a look-up of yours; `on_silence(key, content_version)` is called at a deadline."""
        self._standing, self._on_silence = standing, on_silence
        self._waiting: dict[tuple[str, int], asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        """Deadlines still ahead."""
        return len(self._waiting)

    def expect(self, key: str, content_version: int, deadline: datetime) -> None:
        """Call `on_silence` at `deadline` (aware) if no answer stands by then. Expecting the same again moves its deadline."""
        self._forget(key, content_version)
        seconds = max(0.0, (deadline - datetime.now(UTC)).total_seconds())
        loop = asyncio.get_running_loop()
        self._waiting[key, content_version] = loop.call_later(seconds, self._due, key, content_version)

    def close(self) -> None:
        """Forget every deadline."""
        for key, content_version in list(self._waiting):
            self._forget(key, content_version)

    def _due(self, key: str, content_version: int) -> None:
        self._forget(key, content_version)
        verdict = self._standing(key)
        answered = verdict is not None and verdict.content_version >= content_version and verdict.status is not Status.PROVISIONAL
        if not answered:
            self._on_silence(key, content_version)

    def _forget(self, key: str, content_version: int) -> None:
        handle = self._waiting.pop((key, content_version), None)
        if handle is not None:
            handle.cancel()


async def consume(
    bootstrap: str, group: str, table: Table | None = None, *, topic: str = "verdicts", **client: Any
) -> AsyncIterator[VerdictData]:
    """Yield each verdict that was applied to the table. Those on the installation's own probes are passed over.

    Offsets are committed when the loop comes back for more, so a verdict whose handling was cut off is read again; the table then
    says that it is not newer. Do in `Table.apply` what must not be lost, or make its effect repeatable.

    Args:
        bootstrap: Kafka's bootstrap servers.
        group: consumer group; a new one starts at the oldest record.
        table: what stands; by default a `VerdictTable`.
        topic: the verdicts topic.
        client: further options of AIOKafkaConsumer, such as security.

    Raises:
        Unidentifiable: a record is no verdict of a version that this release knows; nothing after it is committed. Update first.

    """
    from aiokafka import AIOKafkaConsumer  # only those who consume need it
    from aiokafka.errors import CommitFailedError, IllegalStateError

    standing: Table = VerdictTable() if table is None else table
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest", **client
    )
    try:
        await consumer.start()  # cut off by Ctrl-C, it leaves tasks and connections as well
        while True:
            batch = await consumer.getmany(timeout_ms=1000)
            for record in chain.from_iterable(batch.values()):
                verdict = decode(record.value, dict(record.headers))
                if is_probe(verdict):
                    continue
                applied = standing.apply(verdict)
                if await applied if inspect.isawaitable(applied) else applied:
                    yield verdict
            if batch:
                # After a rebalance the partitions' new owner reads these records again.
                with suppress(CommitFailedError, IllegalStateError):
                    await consumer.commit()
    finally:
        await consumer.stop()
