"""Near duplicates: by shared runs of words, and by closeness of embeddings."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

RUN = 3
"""Words in a run."""
SHARED = 0.5
"""Share of the shorter text's runs that the longer one holds, from which two texts are near."""
CLOSE = 0.82
"""Cosine similarity from which two texts are near."""
_BLOCK = 2048


def normalise(text: str) -> list[str]:
    """Lower-case words without marks and accents' neighbours: what is left when spelling tricks are ironed out."""
    return re.findall(r"[^\W_]+", text.casefold())


def runs(text: str) -> frozenset[tuple[str, ...]]:
    """Every run of `RUN` words; the whole text if it is shorter."""
    words = normalise(text)
    return frozenset(tuple(words[i : i + RUN]) for i in range(max(1, len(words) - RUN + 1))) if words else frozenset()


def near(left: str, right: str) -> bool:
    """True if one text holds at least half of the runs of the shorter: equal up to case and marks, cut, or extended."""
    a, b = runs(left), runs(right)
    return bool(a and b) and len(a & b) >= SHARED * min(len(a), len(b))


def near_any(texts: Sequence[str], embeddings: Floats, tests: Sequence[str], test_embeddings: Floats) -> NDArray[np.bool_]:
    """For each text: is it near any test text, by words or by embedding?

    `embeddings` is unit-length float32 [len(texts), d], `test_embeddings` [len(tests), d].
    """
    found = _by_words(texts, tests)
    if len(tests):
        for start in range(0, len(texts), _BLOCK):
            rows = slice(start, start + _BLOCK)
            found[rows] |= (embeddings[rows] @ test_embeddings.T).max(axis=1) >= CLOSE
    return found


def _by_words(texts: Sequence[str], tests: Sequence[str]) -> NDArray[np.bool_]:
    test_runs = [runs(t) for t in tests]
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, held in enumerate(test_runs):
        for run in held:
            holders[run].append(index)
    return np.asarray([_near_one(runs(text), test_runs, holders) for text in texts], bool)


def _near_one(
    own: frozenset[tuple[str, ...]], others: Sequence[frozenset[tuple[str, ...]]], holders: dict[tuple[str, ...], list[int]]
) -> bool:
    shared: dict[int, int] = defaultdict(int)
    for run in own:
        for index in holders.get(run, ()):
            shared[index] += 1
    return any(count >= SHARED * min(len(own), len(others[index])) for index, count in shared.items())


def groups(embeddings: Floats, names: Sequence[str], close: float = CLOSE) -> NDArray[np.int64]:
    """A group number per row: rows of one name, or with embeddings at least `close`, share it (and so share a fold)."""
    parent = list(range(len(names)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[str, int] = {}
    for i, name in enumerate(names):
        parent[root(i)] = root(first.setdefault(name, i))
    for start in range(0, len(names), _BLOCK):
        close_pairs = np.argwhere(embeddings[start : start + _BLOCK] @ embeddings.T >= close)
        for a, b in close_pairs:
            parent[root(int(a) + start)] = root(int(b))
    return np.asarray([root(i) for i in range(len(names))], np.int64)
