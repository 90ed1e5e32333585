"""Two ways to put a raw request to the guard model: to its service in this process, and through Triton."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient

from omniguard.guard.service import AnyEvent, GuardService
from omniguard.guard.wire import EVENT, EVENTS, MEDIA, MODEL, REQUEST, UNSAFE, ErrorEvent, LabelEvent

Request = Mapping[str, Any] | bytes


@dataclass
class Reply:
    """Events as they came, with UNSAFE and the FINAL flag of each response."""

    events: list[AnyEvent] = field(default_factory=list)
    unsafe: list[float] = field(default_factory=list)
    finals: list[bool] = field(default_factory=list)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    @property
    def first(self) -> Any:
        return self.events[0]

    @property
    def last(self) -> Any:
        return self.events[-1]


class Guard(Protocol):
    """Asks one request; cancelling the task cancels the request."""

    async def ask(self, request: Request, media: Sequence[bytes] = ()) -> Reply: ...


class Direct:
    """The service in this process."""

    def __init__(self, service: GuardService) -> None:
        self._service = service

    async def ask(self, request: Request, media: Sequence[bytes] = ()) -> Reply:
        waiting = _Waiting()
        self._service.submit(_raw(request), media, waiting)
        try:
            await waiting.over.wait()
        except asyncio.CancelledError:
            waiting.cancelled = True
            raise
        return waiting.reply


class _Waiting:
    """A sender that collects."""

    def __init__(self) -> None:
        self.reply = Reply()
        self.over = asyncio.Event()
        self.cancelled = False
        self._loop = asyncio.get_running_loop()

    def send(self, event: AnyEvent) -> None:
        self.reply.events.append(event)
        self.reply.unsafe.append(event.unsafe if isinstance(event, LabelEvent) else math.nan)
        self.reply.finals.append(event.final)
        if event.final:
            with contextlib.suppress(RuntimeError):  # the loop of a test that has ended: a sender never raises
                self._loop.call_soon_threadsafe(self.over.set)

    def is_cancelled(self) -> bool:
        return self.cancelled


class Triton:
    """The model in a server, a stream for each request."""

    def __init__(self, address: str, model: str = MODEL) -> None:
        self._client = InferenceServerClient(address)
        self._model = model

    async def close(self) -> None:
        await self._client.close()

    async def ask(self, request: Request, media: Sequence[bytes] = ()) -> Reply:
        asked = {"model_name": self._model, "inputs": _inputs(_raw(request), media)}

        async def once() -> AsyncIterator[dict[str, Any]]:
            yield asked

        reply = Reply()
        answers = self._client.stream_infer(once())
        try:
            async for result, error in answers:
                if error is not None:
                    raise error
                event: AnyEvent = EVENTS.validate_json(result.as_numpy(EVENT)[0])
                reply.events.append(event)
                reply.unsafe.append(float(result.as_numpy(UNSAFE)[0]))
                reply.finals.append(result.get_response().parameters["triton_final_response"].bool_param)
                if event.final:
                    return reply
        finally:
            answers.cancel()
        raise AssertionError(f"the stream ended without a final event: {reply.kinds}")


def _inputs(raw: bytes, media: Sequence[bytes]) -> list[InferInput]:
    inputs = [InferInput(REQUEST, [1], "BYTES")]
    inputs[0].set_data_from_numpy(np.array([raw], np.object_))
    if media:
        inputs.append(InferInput(MEDIA, [len(media)], "BYTES"))
        elements = np.empty(len(media), np.object_)
        elements[:] = media
        inputs[1].set_data_from_numpy(elements)
    return inputs


def _raw(request: Request) -> bytes:
    return request if isinstance(request, bytes) else json.dumps(request).encode()


def text(words: str, **more: Any) -> dict[str, Any]:
    """A label request for one text."""
    return {"mode": "label", "parts": [{"id": "t", "modality": "text", "text": words}], **more}


def picture(encoding: str = "jpeg", **more: Any) -> dict[str, Any]:
    """A label request for one picture, MEDIA's first element."""
    return {"mode": "label", "parts": [{"id": "i", "modality": "image", "media": [0, 1], "encoding": encoding}], **more}


def video(frames: int, encoding: str = "jpeg", start: float = 0.0, **more: Any) -> dict[str, Any]:
    """A label request for frames a second apart, MEDIA's first elements."""
    times = [start + second for second in range(frames)]
    part = {"id": "v", "modality": "video", "media": [0, frames], "encoding": encoding, "frame_times": times}
    return {"mode": "label", "parts": [part], **more}


def audio(encoding: str = "pcm16", rate: int | None = 16_000, t0: float | None = None, **more: Any) -> dict[str, Any]:
    """A label request for one clip, MEDIA's first element."""
    part = {"id": "a", "modality": "audio", "media": [0, 1], "encoding": encoding, "sample_rate": rate, "t0": t0}
    return {"mode": "label", "parts": [part], **more}


def refused(reply: Reply, code: str, *words: str) -> None:
    """One final error event, with NaN beside it."""
    assert reply.kinds == ["error"]
    assert isinstance(reply.last, ErrorEvent)
    assert reply.finals == [True]
    assert all(math.isnan(u) for u in reply.unsafe)
    assert reply.last.code == code, reply.last
    for word in words:
        assert word in reply.last.message, reply.last.message
