"""Near duplicates are found whatever the case, marks and framing, and no row near a test row survives."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from omniguard.guard.lite.training import similar

WORDS = st.lists(
    st.sampled_from([f"{a}{b}" for a in "bdfglmnprst" for b in ("ab", "en", "ilo", "oru", "usk")]),
    min_size=8,
    max_size=20,
    unique=True,
)


def _units(n: int, seed: int) -> similar.Floats:
    vectors = np.random.default_rng(seed).normal(size=(n, 384)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@given(words=WORDS, before=WORDS, mark=st.sampled_from("!?.,;:-"))
def test_case_marks_and_framing_do_not_hide_a_copy(words: list[str], before: list[str], mark: str) -> None:
    text = " ".join(words)
    assert similar.near(text, f"{mark} ".join(words).upper())
    assert similar.near(text, " ".join(before) + " so " + text)
    assert similar.near(text, " ".join(words[: len(words) // 2 + 2]))


@given(words=WORDS)
def test_other_words_in_another_order_are_not_near(words: list[str]) -> None:
    assert not similar.near(" ".join(words), " ".join(reversed(words)))


@given(tests=st.lists(WORDS, min_size=1, max_size=5), others=st.lists(WORDS, max_size=5), seed=st.integers(0, 99))
def test_every_row_near_a_test_row_is_marked(tests: list[list[str]], others: list[list[str]], seed: int) -> None:
    held = [" ".join(t) for t in tests]
    train = [*(" ".join(o) for o in others), *(t.title() + "!" for t in held)]
    marked = similar.near_any(train, _units(len(train), seed), held, _units(len(held), seed + 1000))
    assert [bool(m) for m in marked] == [any(similar.near(t, h) for h in held) for t in train]
    assert marked[len(others) :].all()


@given(seed=st.integers(0, 99))
def test_a_close_embedding_is_near_without_a_shared_word(seed: int) -> None:
    test = _units(1, seed)
    assert similar.near_any(["wholly other words here"], test, ["nothing in common at all"], test).all()
    assert not similar.near_any(["wholly other words here"], -test, ["nothing in common at all"], test).any()


@given(seed=st.integers(0, 99))
def test_one_name_or_a_close_embedding_is_one_group(seed: int) -> None:
    base = _units(3, seed)
    found = similar.groups(np.vstack([base, base[:1]]), ["a", "b", "b", "c"])
    assert found[0] == found[3]
    assert found[1] == found[2]
    assert found[0] != found[1]
