"""The publisher's twin: keeps every record, in order per topic."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from omniguard.errors import Misconfigured
from omniguard.ports import Message

__all__ = ["MemoryPublisher"]


class MemoryPublisher:
    """A broker in memory. Takes any topic, or only those named; `suspend` plays a broker that is away."""

    def __init__(self, topics: frozenset[str] | None = None, *, max_message_bytes: int = 1_048_576) -> None:
        """With `topics`, any other is refused; so is a record larger than `max_message_bytes`."""
        self._topics = topics
        self._max = max_message_bytes
        self._records: defaultdict[str, list[Message]] = defaultdict(list)
        self._back = asyncio.Event()
        self._back.set()

    @property
    def available(self) -> bool:
        """False while suspended."""
        return self._back.is_set()

    async def start(self) -> None:
        """Wait until the broker is there."""
        await self._back.wait()

    async def stop(self) -> None:
        """Nothing is pending: a record is kept when `publish` returns."""

    async def publish(self, message: Message) -> None:
        """Keep the record; wait while suspended.

        Raises:
            Misconfigured: the topic is not known, or the record too large.

        """
        if self._topics is not None and message.topic not in self._topics:
            raise Misconfigured(f"topic {message.topic}: found unknown, expected it to exist: run `omniguard topics apply`")
        headers = sum(len(name.encode()) + len(content) for name, content in message.headers.items())
        size = len(message.key or b"") + len(message.value or b"") + headers
        if size > self._max:
            raise Misconfigured(f"record of {size} bytes found for topic {message.topic}, expected at most {self._max}")
        await self._back.wait()
        self._records[message.topic].append(message)

    def records(self, topic: str) -> tuple[Message, ...]:
        """All records of a topic, oldest first."""
        return tuple(self._records[topic])

    def suspend(self) -> None:
        """Let publishing wait, as with a broker that is away."""
        self._back.clear()

    def resume(self) -> None:
        """Let what waits go on, in the order it came."""
        self._back.set()
