"""A server that speaks Triton's gRPC protocol and answers as badly as it is told: what no model in Triton could send."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import grpc
from tritonclient.grpc import service_pb2
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceServicer, add_GRPCInferenceServiceServicer_to_server

NAN = float("nan")
LABEL = {"kind": "label", "label": "safe", "unsafe": 0.125, "sequence": 0, "final": True}
Play = Callable[[Any, Any], AsyncIterator[Any]]
"""From a request and its context to what is sent."""


def answer(
    asked: Any,
    event: object,
    unsafe: float = NAN,
    *,
    outputs: tuple[tuple[str, str, list[int]], ...] = (("EVENT", "BYTES", [1]), ("UNSAFE", "FP32", [1])),
    raw: list[bytes] | None = None,
    id: str | None = None,  # noqa: A002  the protocol's own word
) -> Any:
    """One response; `event` is sent as it is if it is bytes, else as JSON."""
    made = service_pb2.ModelInferResponse(model_name="omniguard", id=asked.id if id is None else id)
    for name, datatype, shape in outputs:
        made.outputs.add(name=name, datatype=datatype, shape=shape)
    data = event if isinstance(event, bytes) else json.dumps(event).encode()
    made.raw_output_contents.extend(raw or [struct.pack("<I", len(data)) + data, struct.pack("<f", unsafe)])
    return service_pb2.ModelStreamInferResponse(infer_response=made)


@dataclass
class Answering(GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Plays `play` for every request."""

    play: Play
    asked: int = 0
    ended: int = 0

    async def ModelStreamInfer(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        async for asked in requests:
            if b'"mode":"status"' in asked.raw_input_contents[0]:  # whoever waits asks whether the model lives
                await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no status")
            self.asked += 1
            try:
                async for response in self.play(asked, context):
                    yield response
            finally:
                self.ended += 1


async def serve(play: Play, at: int = 0) -> tuple[Answering, Any, str]:
    """A running server, at that port or a free one: what it does, the server to stop, its address."""
    answering, server = Answering(play), grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
    add_GRPCInferenceServiceServicer_to_server(answering, server)
    port = server.add_insecure_port(f"127.0.0.1:{at}")
    await server.start()
    return answering, server, f"127.0.0.1:{port}"
