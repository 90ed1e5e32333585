"""Sentence embedding: all-MiniLM-L6-v2 as an int8 ONNX file."""

from __future__ import annotations

import re
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
PASSAGE = 48
SHORT = 12
"""Tokens of the finer windows: a sentence or two, so that a harmful one does not drown in a long harmless text."""

_SENTENCE_END = re.compile(r"[.!?\u2026]+[\"')\]]*\s+|\n+")

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

    def windows(self, text: str) -> list[Span]:
        """Character spans to embed; none for an empty text, one for a short text.

        A longer text is read twice: in windows as long as the model takes, and in passages of a few sentences.
        """
        offsets: list[Span] = self._tokens.encode(text, add_special_tokens=False).offsets
        if len(offsets) <= PASSAGE:
            return [(offsets[0][0], offsets[-1][1])] if offsets else []
        wide = _cut(0, len(offsets), MAX_TOKENS - 2)
        return [(offsets[start][0], offsets[end - 1][1]) for start, end in [*wide, *_passages(text, offsets)]]

    def _embed(self, text: str) -> Floats:
        ids = self._tokens.encode(unicodedata.normalize("NFKC", text)).ids
        if len(ids) > MAX_TOKENS:
            ids = [*ids[: MAX_TOKENS - 1], ids[-1]]
        tokens = np.asarray([ids], np.int64)
        feed = {"input_ids": tokens, "attention_mask": np.ones_like(tokens), "token_type_ids": np.zeros_like(tokens)}
        mean: Floats = self._session.run(None, feed)[0][0].mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), np.float32)


def _passages(text: str, offsets: Sequence[Span]) -> Iterator[Span]:
    """Token ranges of whole sentences: short ones joined up to `SHORT` tokens, long ones cut at `PASSAGE`."""
    starts = {match.end() for match in _SENTENCE_END.finditer(text)}
    first = 0
    for here in range(1, len(offsets)):
        if offsets[here][0] in starts and here - first >= SHORT:
            yield from _cut(first, here, PASSAGE)
            first = here
    yield from _cut(first, len(offsets), PASSAGE)


def _cut(start: int, end: int, size: int) -> Iterator[Span]:
    """Ranges of at most `size`, each overlapping the next by a quarter, that cover [start, end)."""
    while end - start > size:
        yield start, start + size
        start += size * 3 // 4
    yield start, end
