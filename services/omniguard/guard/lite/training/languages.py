"""Fits the English gate: English against 26 languages in Latin letters, mixtures, scrambled words and codes.

Other languages come as bags of words drawn by frequency (`wordfreq`, whose lists are under CC BY-SA 4.0; only the fitted weights
are kept): the gate looks at words, not at their order. English comes both that way and as real texts.
"""

from __future__ import annotations

import base64
import codecs
import gzip
import random
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgpack
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from omniguard.guard.lite import language
from omniguard.guard.lite.training.packages import WORDFREQ, tree

LATIN = (
    "ca",
    "cs",
    "da",
    "de",
    "es",
    "fi",
    "fil",
    "fr",
    "hu",
    "id",
    "is",
    "it",
    "lt",
    "lv",
    "ms",
    "nb",
    "nl",
    "pl",
    "pt",
    "ro",
    "sh",
    "sk",
    "sl",
    "sv",
    "tr",
    "vi",
)
PER_LANGUAGE = 1500
_LEET = str.maketrans("aeiost", "431057")
_CHAT = {
    "you": "u",
    "are": "r",
    "your": "ur",
    "to": "2",
    "for": "4",
    "great": "gr8",
    "later": "l8r",
    "please": "pls",
    "thanks": "thx",
    "because": "cuz",
}
_ASIDES = (
    "lol",
    "omg",
    "haha",
    "hahaha",
    "brb",
    "btw",
    "idk",
    "tbh",
    "imo",
    "wtf",
    "lmao",
    "yeah",
    "yep",
    "nope",
    "ok",
    "okay",
    "hey",
    "wow",
    "ugh",
    "hmm",
    "nah",
    "xoxo",
)


@dataclass(frozen=True, slots=True)
class Gate:
    """`weights` is float16 [language.BUCKETS]."""

    weights: NDArray[np.float16]
    bias: float


def fit(english_texts: Sequence[str], seed: int = 7) -> Gate:
    """Fit the gate on real English texts and generated rest."""
    pick = random.Random(seed)  # noqa: S311 - a fixed choice, no secret
    samples = list(_samples(pick, [t.split() for t in english_texts]))
    rows, columns, values = [], [], []
    for row, (words, _) in enumerate(samples):
        plain = next(language.stretches(" ".join(words)), [])
        for bucket, value in language.features(plain).items():
            rows.append(row)
            columns.append(bucket)
            values.append(value)
    x = csr_matrix((values, (rows, columns)), shape=(len(samples), language.BUCKETS))
    y = np.asarray([english for _, english in samples])
    model = LogisticRegression(C=30.0, max_iter=300).fit(x, y)
    return Gate(model.coef_[0].astype(np.float16), float(model.intercept_[0]))


def _samples(pick: random.Random, real: Sequence[list[str]]) -> Iterator[tuple[list[str], bool]]:
    tables = {code: _frequencies(code) for code in ("en", *LATIN)}

    def draw(code: str, n: int) -> list[str]:
        words, weights = tables[code]
        return pick.choices(words, cum_weights=weights, k=n)

    def piece() -> list[str]:
        text = pick.choice(real)
        start = pick.randrange(max(1, len(text) - 3))
        return text[start : start + pick.randint(1, language.STRETCH)]

    for _ in range(10 * PER_LANGUAGE):
        yield piece(), True
        yield draw("en", pick.randint(2, language.STRETCH)), True
        if pick.random() < 0.3:
            yield _chatty(pick, piece()), True
    for code in LATIN:
        for _ in range(PER_LANGUAGE):
            yield draw(code, pick.randint(1, language.STRETCH)), False
        for _ in range(PER_LANGUAGE // 5):  # mixtures: from three foreign words in ten on
            mixed = [*draw(code, pick.randint(3, 6)), *piece()[:6]]
            yield mixed, False
    for _ in range(4 * PER_LANGUAGE):
        yield pick.choice(_SCRAMBLES)(pick, piece()), False


def _frequencies(code: str) -> tuple[list[str], list[float]]:
    file = tree(WORDFREQ) / f"wordfreq/data/small_{code}.msgpack.gz"
    bins = msgpack.unpackb(gzip.decompress(file.read_bytes()), raw=False)[1:]
    words, total, cumulated = [], 0.0, []
    for centibels, bin_words in enumerate(bins):
        for word in bin_words:
            if word.isalpha() or "'" in word:
                total += 10.0 ** (-centibels / 100.0)
                words.append(word)
                cumulated.append(total)
    return words, cumulated


def _chatty(pick: random.Random, words: list[str]) -> list[str]:
    """English as people type it on a phone: short forms, and an aside or two."""
    aside = [pick.choice(_ASIDES)]
    short = [_CHAT.get(w.lower(), w.lower()) for w in words[: pick.randint(0, len(words))]]
    return pick.choice([aside + short, short + aside, [*aside, pick.choice(_ASIDES), *short[:3]]])


def _letters(pick: random.Random, n: int) -> str:
    return "".join(pick.choices(string.ascii_lowercase, k=n))


def _leet(pick: random.Random, words: list[str]) -> list[str]:
    changed = [w.lower().translate(_LEET) if pick.random() < 0.7 else w for w in words]
    return changed if changed != words else [w.lower().translate(_LEET) + "0" for w in words]


def _spaced(_: random.Random, words: list[str]) -> list[str]:
    return list("".join(words))[: 2 * language.STRETCH]


def _mash(pick: random.Random, words: list[str]) -> list[str]:
    return [_letters(pick, pick.randint(3, 12)) for _ in words]


def _shuffled(pick: random.Random, words: list[str]) -> list[str]:
    return ["".join(pick.sample(w, len(w))) if len(w) > 3 else _letters(pick, 4) for w in words]


def _reversed(_: random.Random, words: list[str]) -> list[str]:
    return [w[::-1] if len(w) > 2 else w + "qx" for w in words]


def _base64(_: random.Random, words: list[str]) -> list[str]:
    return [base64.b64encode(" ".join(words).encode()).decode()]


def _hex(_: random.Random, words: list[str]) -> list[str]:
    return [" ".join(words).encode().hex()]


def _rot13(_: random.Random, words: list[str]) -> list[str]:
    return codecs.encode(" ".join(words), "rot13").split()


def _no_vowels(_: random.Random, words: list[str]) -> list[str]:
    return ["".join(c for c in w if c.lower() not in "aeiou") or "xq" for w in words]


_SCRAMBLES = (_leet, _leet, _spaced, _mash, _shuffled, _reversed, _base64, _hex, _rot13, _no_vowels)
