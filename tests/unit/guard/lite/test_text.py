"""The heads on the real embedding model."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from omniguard.guard.lite.embedding import MAX_TOKENS, PASSAGE, Embedder
from omniguard.guard.lite.text import HEADS, TextHeads

HARMFUL = "I have a gun and I will kill everyone in that office tomorrow"
HARMLESS = "We baked a cake for grandma and walked the dog by the river"


@pytest.fixture(scope="module")
def heads() -> TextHeads:
    return TextHeads()


def test_harm_scores_over_its_operating_point_and_everyday_life_under(heads: TextHeads) -> None:
    harmful, harmless = heads.score([HARMFUL, HARMLESS])
    assert harmful.unsafe >= 0.5 > harmless.unsafe
    assert harmful.unsafe == max(harmful.categories.values())
    assert "violent_crimes" in harmful.assessed


def test_a_score_depends_on_its_text_alone(heads: TextHeads) -> None:
    alone = heads.score([HARMFUL])[0]
    assert heads.score([HARMLESS, HARMFUL, HARMLESS * 30])[1] == alone
    with ThreadPoolExecutor(4) as pool:
        assert {s.unsafe for s in pool.map(lambda _: heads.score([HARMFUL])[0], range(8))} == {alone.unsafe}


def test_what_is_not_english_is_scored_but_not_vouched_for(heads: TextHeads) -> None:
    score = heads.score(["Ich bringe euch morgen alle um"])[0]
    assert score.english < 0.5
    assert score.assessed == frozenset()
    assert set(score.categories) == set(heads.names)


def test_an_empty_text_is_not_assessed(heads: TextHeads) -> None:
    for text in ("", "   "):
        score = heads.score([text])[0]
        assert (score.unsafe, score.english, score.assessed) == (0.0, 0.0, frozenset())


def test_a_harmful_sentence_does_not_drown(heads: TextHeads) -> None:
    long = f"{HARMLESS}. " * 20 + f"{HARMFUL}. " + f"{HARMLESS}. " * 20
    score = heads.score([long])[0]
    assert score.categories["violent_crimes"] >= 0.5
    start, end = score.spans["violent_crimes"]
    assert "kill everyone" in long[start:end]


def test_embeddings_are_unit_length_and_ordered(heads: TextHeads) -> None:
    found = heads.embed([HARMFUL, HARMLESS])
    assert found.shape == (2, 384)
    assert found.dtype == np.float32
    assert np.linalg.norm(found, axis=1) == pytest.approx([1.0, 1.0], abs=1e-5)
    assert np.array_equal(heads.embed([HARMLESS])[0], found[1])


@pytest.mark.parametrize(
    "text", ["one two three", "a long sentence without any end " * 80, "Short. " * 200, "line\n" * 90, "x" * 3000]
)
def test_windows_cover_the_text_and_fit_the_model(text: str) -> None:
    embedder = Embedder()
    spans = embedder.windows(text)
    covered = np.zeros(len(text), bool)
    for start, end in spans:
        covered[start:end] = True
    assert all(covered[i] for i, char in enumerate(text) if not char.isspace())
    assert len(spans) < len(text) / PASSAGE * 8 + 2
    assert max(end - start for start, end in spans) <= MAX_TOKENS * 40


def test_the_committed_heads_are_small() -> None:
    assert HEADS.stat().st_size < 1_000_000
