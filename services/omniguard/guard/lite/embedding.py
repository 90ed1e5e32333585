"""Sentence embedding: all-MiniLM-L6-v2 as an int8 ONNX file."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnxruntime
import tokenizers
from numpy.typing import NDArray

from omniguard.guard import assets

DIMENSIONS = 384
MAX_TOKENS = 256
"""Longest input of one embedding, [CLS] and [SEP] included."""
WINDOW = 96
"""Tokens scored at a time: a harmful sentence must not drown in a long harmless text."""
STRIDE = 72

Floats = NDArray[np.float32]
Span = tuple[int, int]


class Embedder:
    """One instance serves many threads (onnxruntime's `run` and the tokenizer are thread-safe).

    Texts are embedded one at a time: the int8 model scales activations per call, so in a batch a text's score would depend on its
    neighbours, and on a CPU a batch is no faster (24 texts: 0.23 s one by one, 0.33 s at once).

    Raises:
        Misconfigured: the model's files cannot be had.

    """

    def __init__(self, *, threads: int = 1) -> None:
        folder = assets.path(assets.MINILM)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other models share these cores
        self._session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
        self._tokens: Any = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokens.no_padding()
        self._tokens.no_truncation()

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit-length float32 [len(texts), 384]. What is past 256 tokens is left out: cut longer texts into `windows`."""
        out = np.empty((len(texts), DIMENSIONS), np.float32)
        for row, text in enumerate(texts):
            out[row] = self._embed(text)
        return out

    def windows(self, text: str) -> Iterator[Span]:
        """Character spans of overlapping windows of `WINDOW` tokens; one window for a short text, none for an empty one."""
        offsets: list[Span] = self._tokens.encode(text, add_special_tokens=False).offsets
        for start in range(0, max(len(offsets) - (WINDOW - STRIDE), min(len(offsets), 1)), STRIDE):
            run = offsets[start : start + WINDOW]
            yield run[0][0], run[-1][1]

    def _embed(self, text: str) -> Floats:
        ids = self._tokens.encode(unicodedata.normalize("NFKC", text)).ids
        if len(ids) > MAX_TOKENS:
            ids = [*ids[: MAX_TOKENS - 1], ids[-1]]
        tokens = np.asarray([ids], np.int64)
        feed = {"input_ids": tokens, "attention_mask": np.ones_like(tokens), "token_type_ids": np.zeros_like(tokens)}
        mean: Floats = self._session.run(None, feed)[0][0].mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), np.float32)
