"""Text into category scores: a sentence embedding (MiniLM, int8, ONNX) under logistic heads of our own training."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import tokenizers
from numpy.typing import NDArray

from omniguard.guard import assets
from omniguard.guard.lite import language, table

__all__ = ["DIMENSIONS", "ENGLISH", "HEADS", "TextHeads", "TextScore"]

DIMENSIONS = 384
MAX_TOKENS = 256
"""Longest input of one embedding, [CLS] and [SEP] included."""
WINDOW = 96
"""Tokens scored at a time: a harmful sentence must not drown in a long harmless text."""
STRIDE = 72
ENGLISH = 0.8
"""From here on a text counts as confidently English."""
HEADS = Path(__file__).with_name("heads.npz")

Floats = NDArray[np.float32]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class TextScore:
    """Scores of one text.

    `categories` has every head's decision score, 0..1 (not a probability: 0.5 is the head's operating point, see docs/quality.md).
    `spans` names for each head the characters [start, end) of the window that scored highest. `assessed` is empty
    unless the text is confidently English: then scores are reported, but nobody vouches for them.
    """

    categories: Mapping[str, float]
    spans: Mapping[str, Span]
    english: float
    assessed: frozenset[str]

    @property
    def unsafe(self) -> float:
        """The highest of the heads."""
        return max(self.categories.values(), default=0.0)


class TextHeads:
    """The embedding model and the heads over it; one instance serves many threads (onnxruntime's `run` is thread-safe).

    Texts are embedded one at a time: the int8 model scales activations per call, so in a batch a text's score would depend on its
    neighbours, and on a CPU a batch is no faster (24 texts: 0.23 s one by one, 0.33 s at once).

    Raises:
        Misconfigured: the model's files cannot be had.

    """

    def __init__(self, *, threads: int = 1, heads: Path = HEADS) -> None:
        folder = assets.path(assets.MINILM)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other models share these cores
        self._session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
        self._tokens: Any = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokens.no_padding()
        self._tokens.no_truncation()
        self._load(heads)

    def _load(self, heads: Path) -> None:
        with np.load(heads, allow_pickle=False) as stored:
            self.names: tuple[str, ...] = tuple(str(name) for name in stored["names"])
            self._coef: Floats = stored["coef"].astype(np.float32)
            self._intercept: Floats = stored["intercept"].astype(np.float32)
            self._language: Floats = stored["language"].astype(np.float32)
            self._language_bias = float(stored["language_bias"])
        self.digest = hashlib.sha256(heads.read_bytes() + table.TABLE.read_bytes()).hexdigest()

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit-length float32 [len(texts), 384]. What is past 256 tokens is left out: `score` cuts longer texts into windows."""
        out = np.empty((len(texts), DIMENSIONS), np.float32)
        for row, text in enumerate(texts):
            out[row] = self._embed(text)
        return out

    def score(self, texts: Sequence[str]) -> list[TextScore]:
        """Score each text whole, whatever its length: the highest window counts for each head."""
        return [self._score(text) for text in texts]

    def english(self, text: str) -> float:
        """How surely the text is English throughout, 0..1."""
        return language.english(text, self._language, self._language_bias)

    def logits(self, embeddings: Floats) -> Floats:
        """Float32 [n, heads] for float32 [n, 384]; 0 is the operating point."""
        out: Floats = embeddings @ self._coef.T + self._intercept
        return out

    def _score(self, text: str) -> TextScore:
        spans = list(self.windows(text))
        sure = self.english(text)
        if not spans:
            return TextScore(dict.fromkeys(self.names, 0.0), {}, sure, frozenset())
        scores = 1.0 / (1.0 + np.exp(-self.logits(self.embed([text[start:end] for start, end in spans]))))
        best = scores.argmax(axis=0)
        return TextScore(
            categories={name: float(scores[best[i], i]) for i, name in enumerate(self.names)},
            spans={name: spans[best[i]] for i, name in enumerate(self.names)},
            english=sure,
            assessed=table.assessed("text") if sure >= ENGLISH else frozenset(),
        )

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
        unit: Floats = mean / np.linalg.norm(mean)
        return unit.astype(np.float32)
