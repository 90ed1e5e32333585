"""One question to one Triton server: the request as `guard.wire` says it, and every answer checked against it.

Nothing that came from the content is repeated in an error: what was found is told by kind, number and size.
"""

from __future__ import annotations

import asyncio
import math
import struct
import uuid
from collections.abc import Sequence
from typing import Any, NoReturn

import grpc
from pydantic import ValidationError
from tritonclient.grpc import service_pb2

from omniguard.adapters.triton_channels import ANSWER_LIMIT
from omniguard.errors import BadContent, Reason, Retryable
from omniguard.guard.wire import (
    EVENT,
    EVENTS,
    MEDIA,
    REQUEST,
    UNSAFE,
    Capabilities,
    CategoriesEvent,
    CritiqueEvent,
    ErrorEvent,
    GuardErrorCode,
    GuardRequest,
    LabelEvent,
    StatusEvent,
)

__all__ = ["AnyEvent", "Gone", "HungUp", "ProcessDead", "Shut", "Unavailable", "Unreachable", "ask", "encode", "malformed"]

AnyEvent = LabelEvent | CategoriesEvent | CritiqueEvent | ErrorEvent | Capabilities | StatusEvent
_MAX_EVENTS = 4096
_END_SECONDS = 1.0
_CLOSED = "the channel was closed"  # by us, as the address went away
# Asks Triton to end a stream with a proper gRPC status instead of a text inside a response.
_PROPER_STATUS = ("triton_grpc_error", "true")
_AWAY = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.CANCELLED})
# What Triton says with INTERNAL or UNKNOWN of a model process that died, a model that is being loaded, and a broken connection.
_STUB_DEAD = "not healthy"
_AWAY_WORDS = (
    "not found",
    "not ready",
    "no available versions",
    "unavailable",
    "exiting",
    "RST_STREAM",
    "Stream removed",
    "Internal error from Core",  # gRPC's own, where the server ended the stream before we had written
)
_HUNG_UP = "Socket closed"
_SHUT = {
    "protocol is restricted": "this protocol restricted; set triton.restricted_key and restricted_value_file as at Triton",
    "CERTIFICATE_VERIFY_FAILED": "a certificate that is not trusted; correct triton.ca_file, or the certificate",
    "Hostname Verification": "a certificate for another host; correct triton.addresses, or the certificate",
    "WRONG_VERSION_NUMBER": "no TLS; correct triton.tls, or the port",
    _HUNG_UP: "the connection closed at once; see triton.tls, and triton.cert_file if the server wants one",
}
"""What a refused connection's status says, and what we say of it: found what; do what."""


class Unavailable(Exception):
    """This server cannot answer now; another one, or the same a little later, may."""


class Unreachable(Unavailable):
    """Nobody is there to take a request: what a breaker counts. A model that is full has answered, and is none."""


class Gone(Unavailable):
    """The model's process went with the request under way. `death` is the same for all that it went with."""

    def __init__(self, death: str) -> None:
        """`death` is any word."""
        super().__init__("the model's process has gone with the request")
        self.death = death


class Shut(Unreachable):
    """The server is there and does not let us in: an operator must change what the text names."""


class HungUp(Shut):
    """The connection broke off: so does one to a server that does not let us in, and one to a server that is killed."""


class ProcessDead(Unreachable):
    """The model's process died or was stopped: Triton says so a second after each request, and never replaces it by itself."""


def malformed(found: str, expected: str) -> Retryable:
    """The answer breaks the contract."""
    return Retryable(
        Reason.GUARD_FAILED, f"guard model: found {found}, expected {expected}: see that client and model are of one release"
    )


def encode(model: str, request: GuardRequest, media: Sequence[bytes]) -> Any:
    """A ModelInferRequest: REQUEST BYTES[1] and, where there are media, MEDIA BYTES[n]."""
    inputs = [(REQUEST, [request.model_dump_json(exclude_defaults=False).encode()])]
    if media:
        inputs.append((MEDIA, list(media)))
    message = service_pb2.ModelInferRequest(model_name=model, id=uuid.uuid4().hex)
    for name, elements in inputs:
        message.inputs.add(name=name, datatype="BYTES", shape=[len(elements)])
        message.raw_input_contents.append(b"".join(part for e in elements for part in (struct.pack("<I", len(e)), e)))
    return message


async def ask(infer: Any, message: Any, *, timeout: float, traceparent: str | None) -> list[AnyEvent]:
    """Send one request on a stream of its own and read its events up to the final one.

    Cancelling the task cancels the request inside Triton.

    Raises:
        Unavailable: no answer from this server now.
        Retryable: guard_failed or deadline.
        BadContent: unsupported, or not_assessed where the model answers neither safe nor unsafe.

    """
    metadata = (_PROPER_STATUS,) if traceparent is None else (_PROPER_STATUS, ("traceparent", traceparent))
    try:
        call = infer(metadata=metadata, timeout=timeout)
    except grpc.aio.UsageError:
        raise Unavailable(_CLOSED) from None
    try:
        await call.write(message)
        await call.done_writing()
        return await _read(call, message.id)
    except grpc.aio.AioRpcError as error:
        _raise_status(error)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise Unavailable(_CLOSED) from None
    except asyncio.InvalidStateError:
        # Writing to a call that has already ended: its status says why.
        _raise_code(await call.code(), await call.details())
    finally:
        call.cancel()


async def _read(call: Any, asked: str) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    size = 0
    while len(events) < _MAX_EVENTS:
        response = await call.read()
        if response is grpc.aio.EOF:
            if (status := await call.code()) is not grpc.StatusCode.OK:
                _raise_code(status, await call.details())
            raise malformed(f"the end of the answer after {len(events)} events", "a final event before it")
        if response.error_message:
            _raise_code(grpc.StatusCode.INTERNAL, response.error_message)
        size += response.ByteSize()
        if size > ANSWER_LIMIT:
            raise malformed(f"an answer of more than {size} bytes", f"at most {ANSWER_LIMIT}")
        if response.infer_response.id != asked:
            raise malformed("the answer to another request", "one to ours")
        event = _event(response.infer_response)
        if event.sequence != len(events):
            raise malformed(f"event number {event.sequence}", f"number {len(events)}")
        if isinstance(event, ErrorEvent):
            _raise_event(event)
        events.append(event)
        if event.final:
            await _end(call)
            return events
    raise malformed(f"{_MAX_EVENTS} events", "a final one among them")


async def _end(call: Any) -> None:
    """Let the stream end by itself: cancelling one that has just been answered is an error in Triton's log."""
    try:
        async with asyncio.timeout(_END_SECONDS):
            after = await call.read()
    except TimeoutError:
        return  # the answer is whole; the caller cancels what is left of the stream
    if after is not grpc.aio.EOF:
        raise malformed("more after the final event", "the end of the answer")


def _event(response: Any) -> AnyEvent:
    tensors = dict(zip((output.name for output in response.outputs), response.raw_output_contents, strict=False))
    raw, score = tensors.get(EVENT), tensors.get(UNSAFE)
    if raw is None or score is None:
        raise malformed(f"{len(tensors)} tensors of other names", f"{EVENT} and {UNSAFE}")
    kinds = {output.name: (output.datatype, *output.shape) for output in response.outputs}
    if (kinds[EVENT], kinds[UNSAFE]) != (("BYTES", 1), ("FP32", 1)):
        raise malformed("tensors of another type or shape", f"{EVENT} BYTES[1] and {UNSAFE} FP32[1]")
    if len(raw) < 4 or struct.unpack_from("<I", raw)[0] != len(raw) - 4:
        raise malformed(f"{EVENT} of {len(raw)} bytes", "one BYTES element")
    if len(score) != 4:
        raise malformed(f"{UNSAFE} of {len(score)} bytes", "one FP32")
    try:
        event = EVENTS.validate_json(raw[4:])
    except ValidationError as error:
        places = sorted({_place(e["loc"]) for e in error.errors(include_input=False, include_context=False)})
        raise malformed(f"an event that is wrong at {', '.join(places)}"[:200], "one of the contract's events") from None
    (value,) = struct.unpack("<f", score)
    expected = event.unsafe if isinstance(event, LabelEvent) else math.nan
    if not (math.isclose(value, expected, abs_tol=1e-6) or (math.isnan(value) and math.isnan(expected))):
        raise malformed(f"{UNSAFE} {value:.6f} beside a {event.kind} event", f"{expected:.6f}")
    return event


def _place(steps: tuple[int | str, ...]) -> str:
    """Where an event is wrong: kind and field alone, since further in there may be keys of the answer's own."""
    return ".".join(str(step) for step in steps[:2]) or "the whole"


def _raise_event(event: ErrorEvent) -> NoReturn:
    said = f"guard model: found error {event.code} ({event.message[:200]}), expected an answer"
    match event.code:
        case GuardErrorCode.UNAVAILABLE | GuardErrorCode.CANCELLED:
            raise Unavailable(said)
        case GuardErrorCode.DEADLINE:
            raise Retryable(Reason.DEADLINE, said)
        # A request called invalid was made by the limits that the model published: asking again gives the same.
        case GuardErrorCode.UNSUPPORTED | GuardErrorCode.INVALID_REQUEST:
            raise BadContent(Reason.UNSUPPORTED, said)
        case GuardErrorCode.LOW_MASS:  # the same model says the same of the same input, however often it is asked
            raise BadContent(Reason.NOT_ASSESSED, said)
        case _:
            raise Retryable(Reason.GUARD_FAILED, said)


def _raise_status(error: grpc.aio.AioRpcError) -> NoReturn:
    _raise_code(error.code(), error.details())


def _raise_code(code: grpc.StatusCode, details: str | None) -> NoReturn:
    """Sort a gRPC status. Its text may quote an exception of the model, so it is read here and told nowhere."""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        raise Retryable(Reason.DEADLINE, "guard model: found no answer, expected one before the deadline")
    if _STUB_DEAD in (details or ""):
        raise ProcessDead(f"gRPC status {code.name}: the model's process is dead")
    if code is grpc.StatusCode.UNAVAILABLE:
        for words, said in _SHUT.items():
            if words in (details or ""):
                raise (HungUp if words == _HUNG_UP else Shut)(said)
    too_large = code is grpc.StatusCode.RESOURCE_EXHAUSTED  # gRPC's own, of a message over the limit
    if code in _AWAY or (not too_large and any(words in (details or "") for words in _AWAY_WORDS)):
        raise Unreachable(f"gRPC status {code.name}")
    raise Retryable(Reason.GUARD_FAILED, f"guard model: found gRPC status {code.name}, expected an answer: see Triton's log")
