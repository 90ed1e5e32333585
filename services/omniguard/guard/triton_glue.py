"""What Triton's Python backend hands over and takes back; the one module of ours that needs its `triton_python_backend_utils`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import structlog
import triton_python_backend_utils as pb

from omniguard.guard.service import AnyEvent
from omniguard.guard.wire import EVENT, MEDIA, REQUEST, UNSAFE, LabelEvent

__all__ = ["TritonSender", "elements", "settings"]

_log = structlog.get_logger()


def settings(model_config: str) -> dict[str, str]:
    """The `parameters` of config.pbtxt, from the JSON that `initialize` gets."""
    parameters: Mapping[str, Any] = json.loads(model_config).get("parameters", {})
    return {name: value["string_value"] for name, value in parameters.items()}


def elements(request: Any) -> tuple[bytes, list[bytes]]:
    """REQUEST's one element and MEDIA's elements; an absent MEDIA is empty. An empty REQUEST is empty bytes."""
    asked = pb.get_input_tensor_by_name(request, REQUEST).as_numpy().reshape(-1)
    media = pb.get_input_tensor_by_name(request, MEDIA)
    return (asked[0] if len(asked) else b""), ([] if media is None else list(media.as_numpy().reshape(-1)))


class TritonSender:
    """One request's response sender."""

    def __init__(self, request: Any) -> None:
        self._sender = request.get_response_sender()

    def send(self, event: AnyEvent) -> None:
        """Send EVENT and UNSAFE, with the FINAL flag on the last."""
        unsafe = event.unsafe if isinstance(event, LabelEvent) else math.nan
        response = pb.InferenceResponse(
            [
                pb.Tensor(EVENT, np.array([event.model_dump_json().encode()], np.object_)),
                pb.Tensor(UNSAFE, np.array([unsafe], np.float32)),
            ]
        )
        try:
            self._sender.send(response, flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL if event.final else 0)
        except pb.TritonModelException as error:  # the server has given the request up: there is nobody left to tell
            _log.warning("guard.send_failed", error=str(error))

    def is_cancelled(self) -> bool:
        """Ask the server whether the caller has gone."""
        return bool(self._sender.is_cancelled())
