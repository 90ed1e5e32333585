"""The production runner: vLLM's AsyncLLM with continuous batching, priorities and a prefix cache for each tenant.

vLLM computes in a process of its own; this one prepares media and hands ids over. The engine lives on an event loop in a thread
of ours, so that nothing of it runs on the service's loop.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import multiprocessing
import threading
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Future
from contextlib import aclosing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from omniguard.errors import Misconfigured
from omniguard.guard.engine import Refusal
from omniguard.guard.profiles.profile import Family
from omniguard.guard.qwen.runner import FRAMES_PER_STEP, Medium, Prompt, Scored, Step
from omniguard.guard.qwen.vllm_process import prepared
from omniguard.guard.qwen.vllm_settings import VllmSettings
from omniguard.guard.wire import GuardErrorCode

__all__ = ["VllmRunner", "media_name"]

_PATIENCE = 10.0
"""Seconds that closing gives the engine's process before it is killed."""
_OLDEST = (0, 32)
"""Older ones lack log-probabilities of named tokens, or prompts rendered ahead."""


class VllmRunner:
    """A checkpoint on vLLM. `score` and `generate` may be used from one event loop of any thread.

    Raises:
        Misconfigured: vLLM is not installed, or refuses the checkpoint or a setting.

    """

    def __init__(self, model: Path, family: Family, settings: VllmSettings) -> None:
        self._family = family
        self._numbers = itertools.count()
        self._most = settings.max_model_len
        self.at_once = settings.max_num_seqs
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vllm-loop", daemon=True)
        self._thread.start()
        # On that thread, which lives as long as the engine: its process is told to die with the thread that started it.
        starting = asyncio.run_coroutine_threadsafe(_start(model, family, settings), self._loop)
        try:
            self._llm: Any = starting.result()
        except BaseException:
            self._end_loop()
            raise
        try:
            asyncio.run_coroutine_threadsafe(self._warm(), self._loop).result()
        except BaseException:
            self.close()  # its process would outlive the failure
            raise
        self.engine = f"vllm {_vllm_version()}, {_versions()}, {self._llm.model_config.dtype}"

    async def score(self, prompt: Prompt, watch: Sequence[int]) -> Scored:
        """One forward pass, or what of it the prefix cache does not hold.

        Raises:
            Refusal: unsupported where the prompt is too long, unavailable where the engine has died.

        """
        params = _params(max_tokens=1, watch=watch)
        async with aclosing(self._outputs(prompt, params)) as outputs:
            async for output in outputs:
                found = _logprobs(output.outputs[0].logprobs[0], watch)
                return Scored(tuple(found[token] for token in watch), tuple(output.prompt_token_ids))
        raise Refusal(GuardErrorCode.INTERNAL, "vLLM ended without an answer")

    async def generate(
        self,
        prompt: Prompt,
        *,
        max_tokens: int,
        stop: Sequence[int],
        watch: Sequence[int] = (),
        after: Scored | None = None,  # noqa: ARG002 - the prefix cache knows what was computed
    ) -> AsyncGenerator[Step, None]:
        """Greedy tokens as they come.

        Raises:
            Refusal: as `score`.

        """
        ending = frozenset(stop)
        params = _params(max_tokens=max_tokens, watch=watch, stop=ending)
        async with aclosing(self._outputs(prompt, params)) as outputs:
            async for output in outputs:
                piece = output.outputs[0]
                for token, row in zip(piece.token_ids, piece.logprobs, strict=True):
                    yield Step(int(token), float(row[token].logprob), _logprobs(row, watch))
                    if token in ending:
                        return

    def release(self, scored: Scored) -> None:
        """Nothing is held: the prefix cache forgets by itself."""

    def close(self) -> None:
        """End the engine, its process and the loop."""
        self._llm.shutdown(_PATIENCE)
        del self._llm  # its destructor fails once the interpreter is going
        multiprocessing.active_children()  # takes note of the process that ended: no zombie of it stays
        self._end_loop()

    async def _warm(self) -> None:
        """What is compiled for the first request is compiled before it comes."""
        async for _ in self._llm.generate({"prompt_token_ids": [0]}, _params(max_tokens=2, watch=(0, 1)), "warm"):
            pass

    def _end_loop(self) -> None:
        async def rest() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(rest(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _outputs(self, prompt: Prompt, params: Any) -> AsyncGenerator[Any, None]:
        """vLLM's outputs, carried from its loop to the caller's. Closing this aborts the request."""
        here = asyncio.get_running_loop()
        arrived: asyncio.Queue[Any] = asyncio.Queue()
        pumping = asyncio.run_coroutine_threadsafe(self._pump(prompt, params, here, arrived), self._loop)
        pumping.add_done_callback(lambda done: _ended(done, here, arrived))
        try:
            while (output := await arrived.get()) is not None:
                if isinstance(output, BaseException):
                    raise _refusal(output, self._most) from None
                yield output
        finally:
            pumping.cancel()

    async def _pump(self, prompt: Prompt, params: Any, here: asyncio.AbstractEventLoop, arrived: asyncio.Queue[Any]) -> None:
        name = f"omniguard-{next(self._numbers)}"
        outputs = self._llm.generate(await self._rendered(prompt), params, name, priority=prompt.priority)
        async with aclosing(outputs):
            async for output in outputs:
                here.call_soon_threadsafe(arrived.put_nowait, output)

    async def _rendered(self, prompt: Prompt) -> Any:
        """What vLLM makes of the prompt, in threads of its own, with each video's own distance between frames.

        For Qwen2.5-Omni vLLM takes one rate for all videos of a prompt, and positions in time are wrong for the others.
        """
        (rendered,) = await self._llm.renderer.render_cmpl_async([_asked(prompt, self._family)])
        videos = [medium for medium in prompt.media if medium.kind == "video"]
        if videos and self._family == "qwen2_5_omni":
            for item, video in zip(rendered["mm_kwargs"]["video"], videos, strict=True):
                if item is not None:  # else the engine has it from an earlier prompt, under a name that says the distance
                    seconds = item["second_per_grid_ts"]
                    seconds.data = seconds.data.new_tensor(FRAMES_PER_STEP * video.seconds_per_frame)
        return rendered


def _vllm_version() -> str:
    """The module's, since its distribution has another name on CPUs."""
    import vllm

    return str(vllm.__version__)


def _versions() -> str:
    return ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))


async def _start(model: Path, family: Family, settings: VllmSettings) -> Any:
    with prepared(settings.threads):
        try:
            import vllm
            from vllm.engine.arg_utils import AsyncEngineArgs
            from vllm.v1.engine.async_llm import AsyncLLM
        except ImportError as error:
            raise Misconfigured(f"engine vllm: found no vLLM ({error.name}), expected the extra `torch`; install it") from None
        if tuple(int(number) for number in vllm.__version__.split(".")[:2]) < _OLDEST:
            raise Misconfigured(f"engine vllm: found vLLM {vllm.__version__}, expected 0.32 or newer; install one into the image")
        sounds = {"audio": settings.sounds} if family == "qwen2_5_omni" else {}
        arguments = AsyncEngineArgs(
            model=str(model),
            dtype=settings.dtype,
            max_model_len=settings.max_model_len,
            max_num_seqs=settings.max_num_seqs,
            max_num_batched_tokens=settings.max_num_batched_tokens,
            gpu_memory_utilization=settings.gpu_memory_percent / 100,
            kv_cache_memory_bytes=None if settings.kv_cache_mib is None else settings.kv_cache_mib << 20,
            mm_processor_cache_gb=settings.media_cache_mib / 1024,
            tensor_parallel_size=settings.tensor_parallel_size,
            block_size=settings.block_size,
            enforce_eager=settings.eager,
            limit_mm_per_prompt={"image": settings.images, "video": settings.videos, **sounds},
            scheduling_policy="priority",
            enable_prefix_caching=True,
            generation_config="vllm",  # ours alone: a checkpoint's own repetition penalty would move scores
            trust_remote_code=False,
            enable_log_requests=False,
            disable_log_stats=True,
        )
        try:
            return AsyncLLM.from_engine_args(arguments)
        except (ValueError, RuntimeError, OSError) as error:
            raise Misconfigured(f"engine vllm does not start with {model}: {error}; its log says more") from error


def _params(*, max_tokens: int, watch: Sequence[int], stop: frozenset[int] = frozenset()) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    watched = list(dict.fromkeys(watch))
    return SamplingParams(
        temperature=0.0,
        max_tokens=max_tokens,
        stop_token_ids=sorted(stop),
        ignore_eos=True,  # the caller says what ends an answer
        logprob_token_ids=watched or None,
        logprobs=None if watched else 0,  # the token's own comes with either
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
    )


def _asked(prompt: Prompt, family: Family) -> dict[str, Any]:
    data: dict[str, list[Any]] = {}
    names: dict[str, list[str]] = {}
    for medium in prompt.media:
        data.setdefault(medium.kind, []).append(_item(medium, family))
        names.setdefault(medium.kind, []).append(media_name(medium, prompt.salt))
    asked: dict[str, Any] = {"prompt_token_ids": list(prompt.ids)}
    if prompt.salt:
        asked["cache_salt"] = prompt.salt
    if data:
        asked |= {"multi_modal_data": data, "multi_modal_uuids": names}
    return asked


def _item(medium: Medium, family: Family) -> Any:
    if medium.kind != "video":
        return medium.data
    frames = np.stack([np.asarray(frame) for frame in medium.data])
    if family == "qwen2_5_omni":
        return frames
    fps = 1.0 / medium.seconds_per_frame
    count = len(frames)
    about = {"total_num_frames": count, "fps": fps, "duration": count / fps, "frames_indices": list(range(count))}
    return frames, {**about, "video_backend": "none", "do_sample_frames": False}


def media_name(medium: Medium, salt: str) -> str:
    """vLLM trusts the name to tell media apart, so it is derived here, from what was decoded and for whom."""
    return hashlib.sha256(f"{salt}\n{medium.kind}\n{medium.seconds_per_frame!r}\n{medium.key}".encode()).hexdigest()


def _logprobs(row: Any, watch: Sequence[int]) -> dict[int, float]:
    return {token: float(row[token].logprob) for token in watch}


def _ended(done: Future[None], here: asyncio.AbstractEventLoop, arrived: asyncio.Queue[Any]) -> None:
    """Tell the caller's loop how the pump ended; nobody waits there after a cancellation."""
    if not done.cancelled() and not here.is_closed():
        here.call_soon_threadsafe(arrived.put_nowait, done.exception())


def _refusal(error: BaseException, most: int) -> Refusal:
    """By type alone: vLLM's messages may quote the input."""
    from vllm.exceptions import GracefulHTTPError, VLLMClientError
    from vllm.v1.engine.exceptions import EngineDeadError

    if isinstance(error, EngineDeadError):
        return Refusal(GuardErrorCode.UNAVAILABLE, "vLLM's engine process has died; load the model anew, its log says why")
    if isinstance(error, GracefulHTTPError):
        return Refusal(GuardErrorCode.UNAVAILABLE, "vLLM's queue is full; ask again later")
    if isinstance(error, VLLMClientError | ValueError):
        return Refusal(
            GuardErrorCode.UNSUPPORTED,
            f"vLLM refuses the prompt ({type(error).__name__}): with its media it must fit {most} tokens and the limits on media",
        )
    return Refusal(GuardErrorCode.INTERNAL, f"vLLM failed ({type(error).__name__}); its log says where")
