"""Triton's entry point to the guard model: hands each request to the service and returns at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omniguard.guard import engines
from omniguard.guard.service import GuardService
from omniguard.guard.triton_glue import TritonSender, elements, settings


class TritonPythonModel:
    """The engine is named by the parameter `engine` of config.pbtxt; the other parameters are the engine's settings."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the engine.

        Raises:
            Misconfigured: unknown engine, wrong setting or missing model file; Triton then does not load the model.

        """
        self._service = GuardService(engines.load(settings(args["model_config"])))

    def execute(self, requests: Sequence[Any]) -> None:
        """Queue every request; answers go through its response sender, from the service's own threads."""
        for request in requests:
            asked, media = elements(request)
            self._service.submit(asked, media, TritonSender(request))

    def finalize(self) -> None:
        """Stop the service; what it still holds ends with a typed error."""
        self._service.close()
