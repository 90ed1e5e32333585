"""Tells requests under way at a server that the model's process has gone: Triton itself would never answer them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from omniguard.adapters.triton_exchange import Gone, ProcessDead, Unavailable, ask, encode
from omniguard.errors import BadContent, Retryable
from omniguard.guard.wire import GuardRequest, Mode, Priority, StatusEvent

__all__ = ["Watch"]

_EVERY = 2.0
_TIMEOUT = 5.0


class Watch:
    """Of one server; it asks for the model's state while requests are under way, and only then."""

    def __init__(self, infer: Any, model: str, *, every: float = _EVERY) -> None:
        """`infer` is the server's ModelStreamInfer; `every` is in seconds."""
        self.infer = infer
        self._model, self._every = model, every
        self._under_way: set[asyncio.Timeout] = set()
        self._died_of: dict[asyncio.Timeout, str] = {}
        self._process: str | None = None
        self._former: set[str] = set()
        self._several = False
        self._watching: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """True while it asks."""
        return self._watching is not None and not self._watching.done()

    @asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """End the block once the process that has the request is known to have gone.

        Raises:
            Gone: then; the request may be asked anew.

        """
        try:
            async with asyncio.timeout(None) as limit:
                self._under_way.add(limit)
                if not self.busy:
                    self._watching = asyncio.create_task(self._watch())
                try:
                    yield
                finally:
                    self._under_way.discard(limit)
        except TimeoutError:
            raise Gone(self._died_of[limit]) from None
        finally:
            self._died_of.pop(limit, None)

    async def close(self) -> None:
        """Ask no more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def _watch(self) -> None:
        if self._process is None:
            await self._look()  # whose requests these are: without that, a process replaced quickly would go unseen
        while True:
            await asyncio.sleep(self._every)
            if not self._under_way:
                return
            await self._look()

    async def _look(self) -> None:
        waiting = set(self._under_way)
        try:
            process = await self._ask()
        except ProcessDead:
            self._give_up(waiting)
            return
        if process is None or process == self._process:
            return
        # One that comes back means that several processes serve the model side by side: then another answer tells nothing.
        self._several = self._several or process in self._former
        if self._process is not None:
            self._former.add(self._process)
            if not self._several:
                self._give_up(waiting)
        self._process = process

    async def _ask(self) -> str | None:
        """The process that answers; None where it is not told. Death is asked about twice: it may have been a stall."""
        message = encode(self._model, GuardRequest(mode=Mode.STATUS, priority=Priority.CANARY), ())
        for attempt in (1, 2):
            try:
                events = await ask(self.infer, message, timeout=_TIMEOUT, traceparent=None)
            except ProcessDead:
                if attempt == 2:
                    raise
            except (Unavailable, Retryable, BadContent):
                return None
            else:
                return events[0].process if isinstance(events[0], StatusEvent) else None
        return None

    def _give_up(self, waiting: set[asyncio.Timeout]) -> None:
        now, death = asyncio.get_running_loop().time(), uuid.uuid4().hex
        for limit in waiting & self._under_way:
            self._under_way.discard(limit)
            self._died_of[limit] = death
            limit.reschedule(now)
