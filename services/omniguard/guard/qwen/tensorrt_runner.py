"""ProGuard's Qwen2.5-VL on TensorRT-LLM's LLM API. Experimental: written against its documentation, never run.

TensorRT-LLM is on no package registry this project is built from, so no line below the import has ever executed. The engine is
refused unless `experimental` is `yes`; trust it once suites A and B of tests/engines have passed on it. Docs: docs/engines.md.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from omniguard.errors import Misconfigured
from omniguard.guard.engine import Refusal
from omniguard.guard.parameters import whole
from omniguard.guard.profiles.profile import Family
from omniguard.guard.qwen.runner import Prompt, Scored, Step
from omniguard.guard.wire import GuardErrorCode, Priority

__all__ = ["TensorRtRunner", "TensorRtSettings"]


@dataclass(frozen=True, slots=True)
class TensorRtSettings:
    """Longest prompt with its answer in tokens, requests and tokens computed in one step, and cards."""

    max_model_len: int = 32_768
    max_num_seqs: int = 64
    max_num_batched_tokens: int = 8_192
    tensor_parallel_size: int = 1

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> TensorRtSettings:
        """Read the parameters; absent ones keep their defaults, others' are ignored.

        Raises:
            Misconfigured: `experimental` is not `yes`, or a number is none or out of range.

        """
        if parameters.get("experimental") != "yes":
            raise Misconfigured(
                "engine tensorrt_llm is experimental: it has never run against TensorRT-LLM; use engine vllm, or set the "
                "parameter experimental to yes and run tests/engines on it first"
            )
        default = cls()
        return cls(
            max_model_len=whole(parameters, "max_model_len", default.max_model_len, 256, 1 << 20),
            max_num_seqs=whole(parameters, "max_num_seqs", default.max_num_seqs, 1, 4_096),
            max_num_batched_tokens=whole(parameters, "max_num_batched_tokens", default.max_num_batched_tokens, 256, 1 << 20),
            tensor_parallel_size=whole(parameters, "tensor_parallel_size", default.tensor_parallel_size, 1, 64),
        )


class TensorRtRunner:
    """A Qwen2.5-VL checkpoint on TensorRT-LLM's PyTorch backend, text and images.

    Raises:
        Misconfigured: the checkpoint is of another family, or TensorRT-LLM is not installed.

    """

    def __init__(self, model: Path, family: Family, settings: TensorRtSettings) -> None:
        if family != "qwen2_5_vl":
            raise Misconfigured(f"engine tensorrt_llm: found a {family} checkpoint, expected qwen2_5_vl; use engine vllm for it")
        try:
            import tensorrt_llm
            from tensorrt_llm import LLM
            from tensorrt_llm.llmapi import KvCacheConfig
        except ImportError as error:
            raise Misconfigured(
                f"engine tensorrt_llm: found no TensorRT-LLM ({error.name}), expected its wheel; "
                "use NVIDIA's image for it, or engine vllm"
            ) from None
        self._llm = LLM(
            model=str(model),
            tensor_parallel_size=settings.tensor_parallel_size,
            max_seq_len=settings.max_model_len,
            max_batch_size=settings.max_num_seqs,
            max_num_tokens=settings.max_num_batched_tokens,
            kv_cache_config=KvCacheConfig(enable_block_reuse=True),
            trust_remote_code=False,
        )
        self._vocabulary = len(self._llm.tokenizer.tokenizer)
        self.engine = f"tensorrt_llm {tensorrt_llm.__version__}"
        self.at_once = settings.max_num_seqs

    async def score(self, prompt: Prompt, watch: Sequence[int]) -> Scored:
        """One token is generated, and its logits read.

        Raises:
            Refusal: invalid_request where content would change what the prompt is, internal where TensorRT-LLM fails.

        """
        answer = await self._answer(prompt, max_tokens=1, stop=())
        row = _logprobs(answer.outputs[0].generation_logits[0])
        return Scored(tuple(row[token] for token in watch), tuple(answer.prompt_token_ids))

    async def generate(
        self,
        prompt: Prompt,
        *,
        max_tokens: int,
        stop: Sequence[int],
        watch: Sequence[int] = (),
        after: Scored | None = None,  # noqa: ARG002 - blocks are reused by themselves
    ) -> AsyncGenerator[Step, None]:
        """All tokens at once, when the last is there.

        Raises:
            Refusal: as `score`.

        """
        answer = await self._answer(prompt, max_tokens=max_tokens, stop=stop)
        piece = answer.outputs[0]
        for token, logits in zip(piece.token_ids, piece.generation_logits, strict=False):
            row = _logprobs(logits)
            yield Step(int(token), row[token], {watched: row[watched] for watched in watch})

    def release(self, scored: Scored) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """End the engine and its processes."""
        self._llm.shutdown()

    async def _answer(self, prompt: Prompt, *, max_tokens: int, stop: Sequence[int]) -> Any:
        from tensorrt_llm import SamplingParams

        params = SamplingParams(
            temperature=0.0,
            max_tokens=max_tokens,
            stop_token_ids=list(stop),
            ignore_eos=True,
            return_generation_logits=True,
            detokenize=False,
        )
        asked: dict[str, Any] = {"prompt_token_ids": list(prompt.ids)}
        if prompt.media:
            if any(medium.kind != "image" for medium in prompt.media):
                raise Refusal(GuardErrorCode.UNSUPPORTED, "engine tensorrt_llm takes text and images alone")
            asked["multi_modal_data"] = {"image": [medium.data for medium in prompt.media]}
        ready = self._llm.preprocess(asked, params)
        self._compare(prompt, ready.prompt_token_ids)
        # Between 0 and 1, the larger the sooner.
        urgency = 1.0 - min(prompt.priority, Priority.CRITIQUE) / (Priority.CRITIQUE + 1)
        answering = self._llm.generate_async(ready, params, cache_salt=prompt.salt or None, priority=urgency)
        try:
            return await answering
        except RuntimeError as error:  # what its executor raises; the message may quote the input
            raise Refusal(GuardErrorCode.INTERNAL, f"TensorRT-LLM failed ({type(error).__name__}); its log says where") from None
        finally:
            if not answering.finished:
                answering.abort()

    def _compare(self, prompt: Prompt, computed: Sequence[int]) -> None:
        """Refuse if ids changed: TensorRT-LLM turns this model's into text and back, where content may become tokens."""

        def text(ids: Sequence[int]) -> list[int]:
            """Placeholders, of which one becomes many, as one -1."""
            marked = [-1 if token in pads or token >= self._vocabulary else token for token in ids]
            return [token for mark, run in groupby(marked) for token in ([mark] if mark == -1 else run)]

        config = self._llm.input_processor.config
        pads = {config.image_token_id, config.video_token_id}
        if text(prompt.ids) != text(computed):
            raise Refusal(GuardErrorCode.INVALID_REQUEST, "the prompt's tokens do not survive TensorRT-LLM's way through text")


def _logprobs(logits: Any) -> list[float]:
    values: list[float] = logits.double().tolist()
    top = max(values)
    total = top + math.log(sum(math.exp(value - top) for value in values))
    return [value - total for value in values]
