"""One Triton server and one model in it, as a supervisor needs them: status, canary, and the reload that replaces the process."""

from __future__ import annotations

import grpc
from tritonclient.grpc import service_pb2
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from omniguard.adapters.triton_channels import Access
from omniguard.adapters.triton_exchange import AnyEvent, ProcessDead, Unavailable, ask, encode
from omniguard.errors import BadContent, OmniGuardError, Reason, Retryable
from omniguard.guard.wire import GuardRequest, Mode, Priority, StatusEvent, WireCategory, WirePart

__all__ = ["Away", "CanaryFailed", "ProcessDead", "ReloadFailed", "TritonControl", "Unanswered"]

_CATEGORY = WireCategory(name="violent_crimes", description="Content that enables, encourages or endorses violence.")
_NEVER = 7 * 86_400.0
"""Seconds a canary may take: who waits for it decides when that is too long."""


class Away(OmniGuardError):
    """No server answers, it has not loaded the model, or the model is of a release without a status."""


class Unanswered(OmniGuardError):
    """The model's process does not even say how it gets on."""


class CanaryFailed(OmniGuardError):
    """The engine answers a harmless text by an internal error."""


class ReloadFailed(OmniGuardError):
    """Triton could not load the model again."""


class TritonControl:
    """Speaks to one server only: unload and load must reach the process that was found dead."""

    def __init__(self, address: str, model: str, access: Access | None = None) -> None:
        """`address` is host:port of gRPC; `access` must open the model repository. Nothing is connected yet."""
        access = access or Access()
        self._model = model
        self._channel = access.channel(address, (("grpc.use_local_subchannel_pool", 1),))
        server = GRPCInferenceServiceStub(self._channel)
        self._infer, self._live = access.opening(server.ModelStreamInfer), access.opening(server.ServerLive)
        self._metadata = access.opening(server.ModelMetadata)
        self._unload, self._load = access.opening(server.RepositoryModelUnload), access.opening(server.RepositoryModelLoad)

    async def close(self) -> None:
        """Hang up."""
        await self._channel.close()

    async def status(self, timeout: float) -> StatusEvent:
        """How the model gets on.

        Raises:
            ProcessDead: its process died or was stopped.
            Unanswered: nothing came within `timeout` seconds.
            Away: there is no server, or no such model in it.

        """
        try:
            events = await self._ask(GuardRequest(mode=Mode.STATUS, priority=Priority.CANARY), timeout)
        except Retryable as error:
            if error.reason is Reason.DEADLINE:
                raise Unanswered(f"the model said nothing of its state for {timeout:g} s") from error
            raise Away("the model does not tell its state: see that supervisor and model are of one release") from error
        match events:
            case [StatusEvent() as status]:
                return status
        raise Away("the model does not tell its state: see that supervisor and model are of one release")

    async def live(self, timeout: float) -> bool:
        """True if the server itself answers."""
        try:
            answer = await self._live(service_pb2.ServerLiveRequest(), timeout=timeout)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.live)

    async def has_model(self, timeout: float) -> bool | None:
        """Whether the server knows the model, loaded or not; None where it does not say."""
        try:
            await self._metadata(service_pb2.ModelMetadataRequest(name=self._model), timeout=timeout)
        except grpc.aio.AioRpcError as error:
            unknown = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE
            return False if error.code() in unknown and "unknown model" in (error.details() or "") else None
        return True

    async def canary(self) -> None:
        """Ask for the label of a harmless text, before all others. Returns when there was any answer but an internal error.

        Raises:
            CanaryFailed: the engine failed.
            ProcessDead, Away: as `status`.

        """
        part = WirePart(id="canary", modality="text", text="Good morning.")
        request = GuardRequest(mode=Mode.LABEL, policy=(_CATEGORY,), parts=(part,), categories_from=1.0, priority=Priority.CANARY)
        try:
            await self._ask(request, _NEVER)
        except BadContent:
            return  # an engine that takes no text, or is sure of nothing: it answered
        except Retryable as error:
            raise CanaryFailed("the engine failed on a harmless text: see the model's log") from error

    async def reload(self, unload_timeout: float, load_timeout: float) -> None:
        """Unload and load: requests under way fail, and a new process serves.

        Raises:
            ReloadFailed: Triton refused, or was not done in time.

        """
        unload = service_pb2.RepositoryModelUnloadRequest(model_name=self._model)
        load = service_pb2.RepositoryModelLoadRequest(model_name=self._model)
        try:
            await self._unload(unload, timeout=unload_timeout)
            await self._load(load, timeout=load_timeout)
        except grpc.aio.AioRpcError as error:
            # Its text may quote the model's exception; that is in Triton's own log.
            raise ReloadFailed(f"found gRPC status {error.code().name}, expected a loaded model: see Triton's log") from error

    async def _ask(self, request: GuardRequest, timeout: float) -> list[AnyEvent]:
        message = encode(self._model, request, ())
        try:
            return await ask(self._infer, message, timeout=timeout, traceparent=None)
        except ProcessDead:
            raise
        except Unavailable as error:
            raise Away(str(error)) from error
