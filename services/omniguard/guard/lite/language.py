"""Is this text English, surely enough to score it? A logistic head over hashed character n-grams, of our own training.

The heads know English only, so any other language, script or code must be told apart: a wrong "yes" would score what nobody can
vouch for. One foreign or scrambled line inside an English text makes the whole text doubtful.
"""

from __future__ import annotations

import math
import re
import string
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

BUCKETS = 1 << 15
STRETCH = 10
"""Words judged at a time."""

_MARKS = string.punctuation + "\u2026\u201c\u201d\u2018\u2013\u2014\u00a1\u00bf\u00ab\u00bb"
_LONGEST = 4
_FOREIGN = 0.2
"""Below this a stretch of a longer text is foreign; above, names and jargon explain it."""
_JOINT = re.compile(r"(?<=[^\W\d_])[^\w\s]+(?=[^\W\d_])")
_ENDLESS = re.compile(r"[^\W\d_]{46}")
"""The longest word of English dictionaries has 45 letters."""
_STRANGE = 0.1
"""Share of letters outside the Latin script from which a stretch is not English whatever the rest says."""


def english(text: str, weights: NDArray[np.float32], bias: float) -> float:
    """How surely `text` is English throughout, 0..1; 0 for a text without letters.

    The mean over its stretches, or the least of them if that one looks foreign. `weights` is float32 [BUCKETS].
    """
    sure = [_stretch(words, weights, bias) for words in stretches(text)]
    if not sure:
        return 0.0
    return min(sure) if min(sure) < _FOREIGN else sum(sure) / len(sure)


def stretches(text: str) -> Iterator[list[str]]:
    """Runs of `STRETCH` words; a short rest joins the run before it, so that no judgement rests on a word or two alone."""
    words = [w for w in (_word(w) for w in _plain(text).split()) if w]
    while words:
        end = STRETCH if len(words) >= STRETCH + STRETCH // 2 else len(words)
        yield words[:end]
        words = words[end:]


def features(words: Sequence[str]) -> dict[int, float]:
    """Unit-length bag of hashed character n-grams (1 to 4 within a word, and the whole word), bucket → weight."""
    counts: Counter[int] = Counter()
    for word in words:
        padded = f" {word} "
        for n in range(1, _LONGEST + 1):
            counts.update(_bucket(padded[i : i + n]) for i in range(len(padded) - n + 1))
        counts[_bucket(f"={word}")] += 2  # the word itself: short function words tell languages apart
    values = {bucket: math.sqrt(count) for bucket, count in counts.items()}
    norm = math.sqrt(sum(v * v for v in values.values())) or 1.0
    return {bucket: value / norm for bucket, value in values.items()}


def _stretch(words: Sequence[str], weights: NDArray[np.float32], bias: float) -> float:
    if foreign_script(words):
        return 0.0
    margin = bias + sum(float(weights[bucket]) * value for bucket, value in features(words).items())
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, margin))))


def foreign_script(words: Sequence[str]) -> bool:
    """True if many letters are not Latin, or one word hides words from the heads.

    It does by mixing scripts (look-alike letters), by symbols between letters (some look like a space), or by being no word at
    all: the tokenizer reads what it cannot split as one unknown token.
    """
    letters = strange = 0
    for word in words:
        joints = "".join(_JOINT.findall(word))
        if _ENDLESS.search(word) or any(unicodedata.category(c)[0] == "S" and not c.isascii() for c in joints):
            return True
        latin = [_latin(c) for c in word if c.isalpha()]
        if any(latin) and not all(latin):
            return True
        letters += len(latin)
        strange += latin.count(False)
    return strange > _STRANGE * letters


def _latin(char: str) -> bool:
    return char.isascii() or unicodedata.name(char, "").startswith("LATIN")


def _plain(text: str) -> str:
    visible = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    return visible.lower().replace("\u2019", "'")


def _word(word: str) -> str:
    """Letters, digits (all as 0) and what stands between them; links, mentions and bare numbers say nothing of a language."""
    if word.startswith(("http://", "https://", "www.", "@")):
        return ""
    word = "".join("0" if c.isdigit() else c for c in word).strip(_MARKS)
    return word if any(c.isalpha() for c in word) else ""


def _bucket(gram: str) -> int:
    return zlib.crc32(gram.encode()) % BUCKETS
