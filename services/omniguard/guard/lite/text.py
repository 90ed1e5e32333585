"""Text into category scores: a sentence embedding under logistic heads of our own training."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from omniguard.guard.lite import language, table
from omniguard.guard.lite.embedding import Embedder, Floats, Span

__all__ = ["ENGLISH", "HEADS", "TextHeads", "TextScore"]

ENGLISH = 0.8
"""From here on a text counts as confidently English."""
HEADS = Path(__file__).with_name("heads.npz")


@dataclass(frozen=True, slots=True)
class TextScore:
    """Scores of one text.

    `categories` has every head's decision score, 0..1 (no probability: 0.5 is the head's operating point, see docs/quality.md).
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
    """The heads over an embedder; one instance serves many threads.

    `names` are the heads' categories, in order. `digest` changes with the heads or the table of what they may vouch for;
    the embedding model's own is `assets.digest((assets.MINILM,))`.

    Raises:
        Misconfigured: the embedding model's files cannot be had.

    """

    def __init__(self, *, threads: int = 1, heads: Path = HEADS, embedder: Embedder | None = None) -> None:
        self._embedder = embedder or Embedder(threads=threads)
        with np.load(heads, allow_pickle=False) as stored:
            self.names: tuple[str, ...] = tuple(str(name) for name in stored["names"])
            self._coef: Floats = stored["coef"].astype(np.float32)
            self._intercept: Floats = stored["intercept"].astype(np.float32)
            self._language: Floats = stored["language"].astype(np.float32)
            self._language_bias = float(stored["language_bias"])
        self.digest = hashlib.sha256(heads.read_bytes() + table.TABLE.read_bytes()).hexdigest()

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit-length float32 [len(texts), 384]; what is past 256 tokens is left out."""
        return self._embedder.embed(texts)

    def score(self, texts: Sequence[str]) -> list[TextScore]:
        """Score each text whole, whatever its length: for each head the highest window counts."""
        return [self._score(text) for text in texts]

    def english(self, text: str) -> float:
        """How surely the text is English throughout, 0..1."""
        return language.english(text, self._language, self._language_bias)

    def logits(self, embeddings: Floats) -> Floats:
        """Float32 [n, heads] for float32 [n, 384]; 0 is the operating point."""
        return np.asarray(embeddings @ self._coef.T + self._intercept, np.float32)

    def _score(self, text: str) -> TextScore:
        spans = self._embedder.windows(text)
        if not spans:
            return TextScore(dict.fromkeys(self.names, 0.0), {}, 0.0, frozenset())
        scores = 1.0 / (1.0 + np.exp(-self.logits(self.embed([text[start:end] for start, end in spans]))))
        best = scores.argmax(axis=0)
        sure = self.english(text)
        return TextScore(
            categories={name: float(scores[best[i], i]) for i, name in enumerate(self.names)},
            spans={name: spans[best[i]] for i, name in enumerate(self.names)},
            english=sure,
            assessed=table.assessed("text") if sure >= ENGLISH else frozenset(),
        )
