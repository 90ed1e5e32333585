"""The reference runner: transformers' own modules, batched by us. Several threads prepare prompts, one computes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import torch
import transformers

from omniguard.guard.engine import Refusal
from omniguard.guard.qwen.checkpoint import Checkpoint
from omniguard.guard.qwen.compute import Bounds, Compute
from omniguard.guard.qwen.inputs import Prepared, Preparer
from omniguard.guard.qwen.runner import Prompt, Scored, Step
from omniguard.guard.qwen.thinker import Thinker, load
from omniguard.guard.qwen.transformers_settings import TransformersSettings
from omniguard.guard.qwen.work import Computed, Held, Score, Write

__all__ = ["TransformersRunner"]

T = TypeVar("T")


class TransformersRunner:
    """A checkpoint on transformers. `thinker` is for measurements with weights that no folder holds.

    Raises:
        Misconfigured: the checkpoint or its processors cannot be loaded, or there is no such device.

    """

    def __init__(self, checkpoint: Checkpoint, settings: TransformersSettings, *, thinker: Thinker | None = None) -> None:
        if settings.threads:
            torch.set_num_threads(settings.threads)
        if thinker is None:
            device = settings.device_here()
            thinker = load(checkpoint.folder, checkpoint.family, device, settings.dtype_on(device))
        most = min(settings.max_prompt_tokens, checkpoint.limits.positions)
        self._preparer = Preparer(checkpoint, thinker, most)
        self._threads = ThreadPoolExecutor(settings.prepare_workers, "qwen-prepare")
        self._compute = Compute(
            thinker,
            Bounds(
                batch=settings.max_batch,
                tokens=settings.max_batch_tokens,
                writers=settings.max_writing,
                kept=settings.kept_tokens,
                prefixes=settings.prefixes,
                media=settings.media_tokens,
            ),
        )
        self.at_once = settings.max_batch
        name = str(thinker.dtype).removeprefix("torch.")
        self.engine = f"transformers {transformers.__version__}, torch {torch.__version__}, {name}, {thinker.device.type}"

    async def score(self, prompt: Prompt, watch: Sequence[int]) -> Scored:
        """One forward pass, in a batch with whatever waits.

        Raises:
            Refusal: unsupported where the prompt is too long; unavailable where memory is short or this is closing.

        """
        loop = asyncio.get_running_loop()
        prepared = await loop.run_in_executor(self._threads, self._preparer.prepare, prompt)
        future: asyncio.Future[Scored] = loop.create_future()
        work = Score(prepared, tuple(watch), prompt.priority, _here(loop, lambda result: _settle(future, result)))
        self._compute.submit(work)
        try:
            return await future
        except asyncio.CancelledError:
            work.cancelled = True
            if future.done() and not future.cancelled() and future.exception() is None:
                self.release(future.result())  # it came in the very moment in which its caller went
            raise

    async def generate(
        self, prompt: Prompt, *, max_tokens: int, stop: Sequence[int], watch: Sequence[int] = (), after: Scored | None = None
    ) -> AsyncGenerator[Step, None]:
        """Greedy tokens as they come. Behind a scored prompt whose keys and values are still held, nothing is computed anew.

        Raises:
            Refusal: as `score`.

        """
        loop = asyncio.get_running_loop()
        held = after.state if after else None
        computed = held.continued(prompt.ids) if isinstance(held, Held) else None
        if computed is None:
            source: Prepared | Computed = await loop.run_in_executor(self._threads, self._preparer.prepare, prompt)
        else:
            source = computed
        steps: asyncio.Queue[Step | Refusal | None] = asyncio.Queue()
        work = Write(source, tuple(watch), frozenset(stop), max_tokens, prompt.priority, _here(loop, steps.put_nowait))
        self._compute.submit(work)
        try:
            while (found := await steps.get()) is not None:
                if isinstance(found, Refusal):
                    raise found
                yield found
        finally:
            work.cancelled = True

    def release(self, scored: Scored) -> None:
        """Free the keys and values of a scored prompt."""
        if isinstance(scored.state, Held):
            scored.state.release()

    def close(self) -> None:
        """End the threads; what waits is refused."""
        self._compute.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


def _settle(future: asyncio.Future[Scored], result: Scored | Refusal) -> None:
    if future.done():  # nobody waits any more
        if isinstance(result, Scored):
            result.state.release()
    elif isinstance(result, Refusal):
        future.set_exception(result)
    else:
        future.set_result(result)


def _here(loop: asyncio.AbstractEventLoop, act: Callable[[T], None]) -> Callable[[T], None]:
    """`act`, called from another thread, on the loop. A closed loop raises: nobody is there to tell."""

    def call(value: T) -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(act, value)

    return call
