"""The decoder port: in processes of its own, and the twin that works in this one."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from omniguard.adapters._decoder_process import DecoderProcess, DiedIdle
from omniguard.domain.content import FetchedPart, MediaInfo, Segment
from omniguard.domain.deadline import Deadline
from omniguard.domain.plan import ChunkPlan
from omniguard.errors import BadContent, Misconfigured, Reason, Retryable
from omniguard.media.decode import decode, probe
from omniguard.media.framing import BrokenFrame, unpack_info, unpack_segment
from omniguard.media.limits import DecodeLimits
from omniguard.observability import METRICS

LOOK_AHEAD = 8
"""Segments decoded before anybody asked for them."""
_SHORT_SECONDS = 30.0
START_SECONDS = 30.0
"""What the first child may take to import and answer."""


class ProcessDecoder:
    """Decodes in child processes: a crash, a hang or a kill costs one part its examination.

    At most `processes` run at once. Media longer than 30 s, whose children wait for the judge, hold at most all but one of
    them, so that stills and short clips are never kept waiting. A child serves `max_tasks` files, then a new one follows.
    It reads nothing but media below `folder`, and has no network; which parts of that the platform gives is in `sandbox`.
    """

    def __init__(
        self,
        *,
        processes: int = 4,
        limits: DecodeLimits | None = None,
        max_tasks: int = 200,
        folder: Path | None = None,
        required: Collection[str] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start nothing yet: children come with the first files, or with `start`.

        `folder` is where media lie, by default the system's folder for temporary files. `required` are the parts of the
        sandbox (`media.sandbox.PARTS`) without which nothing is decoded.
        """
        self._limits = limits or DecodeLimits()
        self._folder = folder or Path(tempfile.gettempdir())
        self._required = frozenset(required)
        self.sandbox: tuple[str, ...] = ()
        """The parts that are in force here; known after `start`."""
        self._max_tasks = max_tasks
        self._monotonic = monotonic
        self._slots = asyncio.Semaphore(processes)
        self._long = asyncio.Semaphore(max(1, processes - 1))
        self._children: set[DecoderProcess] = set()
        self._idle: list[DecoderProcess] = []

    async def __aenter__(self) -> Self:
        """Start the first child."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    @property
    def pids(self) -> tuple[int, ...]:
        """The children, for tests and for monitoring."""
        return tuple(child.pid for child in self._children)

    async def start(self) -> None:
        """Prove that a child starts and answers, so that a broken installation shows at once.

        Raises:
            Misconfigured: it does not, or without a required part of the sandbox; the message says how to see why.

        """
        child = await self._new()
        try:
            async for _ in child.ask({"op": "probe", "path": "/dev/null"}, max(START_SECONDS, self._limits.stall_seconds)):
                pass
        except BadContent as error:
            if error.reason is not Reason.UNSUPPORTED:
                await self._drop(child)
                raise Misconfigured(f"the decoder process does not work: {error}") from error
        except (DiedIdle, TimeoutError) as error:
            await self._drop(child)
            hint = f"see what `python -m omniguard.media.child '{{}}' {self._folder} < /dev/null` says"
            raise Misconfigured(f"the decoder process does not start ({error or 'no answer in time'}): {hint}") from error
        self.sandbox = child.sandbox
        if missing := self._required - set(child.sandbox):
            await self._drop(child)
            raise Misconfigured(
                f"decoder sandbox: found no {', '.join(sorted(missing))}, expected it as worker.sandbox_required says: "
                "run where the kernel and the container's runtime allow it, or take it from that setting"
            )
        self._idle.append(child)

    async def close(self) -> None:
        """Kill every child. Parts still being decoded end as crashed."""
        self._idle.clear()
        await asyncio.gather(*(self._drop(child) for child in tuple(self._children)))

    async def probe(self, part: FetchedPart, deadline: Deadline) -> MediaInfo:
        """As the port says."""
        answer = MediaInfo(None, has_frames=False, has_sound=False)
        with _understood(part):
            async with aclosing(self._ask(part, {"op": "probe"}, deadline)) as answers:
                async for header, _ in answers:
                    answer = unpack_info(header)
        return answer

    async def segments(
        self, part: FetchedPart, info: MediaInfo, plan: ChunkPlan, deadline: Deadline
    ) -> AsyncGenerator[Segment, None]:
        """As the port says; up to `LOOK_AHEAD` segments are decoded in advance. Closing the generator stops the child."""
        ready: asyncio.Queue[Segment | None] = asyncio.Queue()
        room = asyncio.Semaphore(LOOK_AHEAD)
        long = info.seconds is not None and info.seconds > _SHORT_SECONDS
        task = asyncio.create_task(self._produce(part, plan, deadline, ready, room, long=long))
        try:
            while (segment := await ready.get()) is not None:
                yield segment
                room.release()
            await task
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _produce(
        self,
        part: FetchedPart,
        plan: ChunkPlan,
        deadline: Deadline,
        ready: asyncio.Queue[Segment | None],
        room: asyncio.Semaphore,
        *,
        long: bool,
    ) -> None:
        """Fill the queue; None says that there will be no more."""
        request = {"op": "segments", "plan": asdict(plan)}
        try:
            with _understood(part):
                async with aclosing(self._ask(part, request, deadline, long=long)) as answers:
                    async for header, body in answers:
                        if header.get("kind") == "segment":
                            await room.acquire()
                            ready.put_nowait(unpack_segment(part.id, header, body))
        finally:
            ready.put_nowait(None)

    async def _ask(
        self, part: FetchedPart, request: Mapping[str, Any], deadline: Deadline, *, long: bool = False
    ) -> AsyncGenerator[tuple[dict[str, Any], bytes], None]:
        """Ask a child about a part, once more if the child at hand turned out to be dead before it began."""
        question = {**request, "path": str(_path(part))}
        try:
            async with self._slot(deadline, long=long):
                for fresh in (False, True):
                    try:
                        async with self._child(fresh=fresh) as child:
                            async with aclosing(child.ask(question, deadline.left(self._monotonic()))) as answers:
                                async for answer in answers:
                                    yield answer
                            return
                    except DiedIdle as error:
                        if fresh:
                            raise BadContent(Reason.DECODER_CRASHED, f"the decoder process does not start ({error})") from error
        except TimeoutError as error:
            raise Retryable(Reason.DEADLINE, "the deadline passed while the part was decoded", part=part.id) from error
        except Misconfigured as error:
            raise BadContent(Reason.DECODER_CRASHED, str(error), part=part.id) from error
        except BadContent as error:
            error.part = part.id
            raise

    @asynccontextmanager
    async def _slot(self, deadline: Deadline, *, long: bool) -> AsyncIterator[None]:
        """Wait for leave to use a process, at most until the deadline."""
        left = deadline.left(self._monotonic())
        gates = (self._long, self._slots) if long else (self._slots,)
        taken: list[asyncio.Semaphore] = []
        try:
            async with asyncio.timeout(left if left != float("inf") else None):
                for gate in gates:
                    await gate.acquire()
                    taken.append(gate)
            yield
        finally:
            for gate in taken:
                gate.release()

    @asynccontextmanager
    async def _child(self, *, fresh: bool) -> AsyncIterator[DecoderProcess]:
        """An idle child, or a new one; kept afterwards if it finished in an orderly way."""
        child = self._idle.pop() if self._idle and not fresh else await self._new()
        try:
            yield child
        finally:
            if child.usable and child.tasks < self._max_tasks and child in self._children:
                self._idle.append(child)
            else:
                METRICS.count("omniguard_decoder_exits_total", cause="retired" if child.usable else child.cause)
                await self._drop(child)

    async def _new(self) -> DecoderProcess:
        child = await DecoderProcess.start(self._limits, self._folder)
        self._children.add(child)
        return child

    async def _drop(self, child: DecoderProcess) -> None:
        self._children.discard(child)
        await child.close()


class InlineDecoder:
    """The in-memory twin: the same functions in this process, without protection from crashes."""

    def __init__(self, *, limits: DecodeLimits | None = None, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Hold the limits."""
        self._limits = limits or DecodeLimits()
        self._monotonic = monotonic

    async def probe(self, part: FetchedPart, deadline: Deadline) -> MediaInfo:
        """As the port says."""
        self._check(part, deadline)
        with _named(part):
            return probe(_path(part), self._limits)

    async def segments(
        self, part: FetchedPart, info: MediaInfo, plan: ChunkPlan, deadline: Deadline
    ) -> AsyncGenerator[Segment, None]:
        """As the port says."""
        del info
        self._check(part, deadline)
        with _named(part):
            for segment in decode(part.id, _path(part), plan, self._limits):
                yield segment
                await asyncio.sleep(0)
                self._check(part, deadline)

    def _check(self, part: FetchedPart, deadline: Deadline) -> None:
        if deadline.passed(self._monotonic()):
            raise Retryable(Reason.DEADLINE, "the deadline passed while the part was decoded", part=part.id)


def _path(part: FetchedPart) -> Path:
    if part.path is None:
        raise BadContent(Reason.UNSUPPORTED, "the part holds no media file; expected an image, sound or video", part=part.id)
    return part.path


@contextmanager
def _understood(part: FetchedPart) -> Iterator[None]:
    """A decoder that a file has taken over may answer anything: that costs this part its examination, and no more."""
    try:
        yield
    except BrokenFrame as error:
        raise BadContent(Reason.DECODER_CRASHED, f"the decoder process answered nonsense ({error})", part=part.id) from error


@contextmanager
def _named(part: FetchedPart) -> Iterator[None]:
    """Errors from below do not know the part's id."""
    try:
        yield
    except BadContent as error:
        error.part = part.id
        raise
