"""Text windows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniguard.domain.content import Modality
from omniguard.domain.plan import ChunkPlan
from omniguard.media.text import text_segments

WORDS = st.text(alphabet=st.sampled_from("ab cé\n\u3000漢😀"), max_size=400)


@given(text=WORDS, window=st.integers(2, 60), share=st.floats(0, 0.49))
def test_every_character_is_in_a_window_of_bounded_length(text: str, window: int, share: float) -> None:
    plan = ChunkPlan(text_window=window, text_overlap=int(window * share))
    segments = text_segments("p0", text, plan)
    covered = 0
    for index, segment in enumerate(segments):
        assert segment.start is not None
        assert segment.end is not None
        assert segment.index == index
        assert segment.text == text[segment.start : segment.end]
        assert 0 < len(segment.text) <= window
        assert segment.start <= covered < segment.end, "a gap, or a window that adds nothing"
        assert covered - segment.start <= plan.text_overlap
        covered = segment.end
    assert covered == len(text)


def test_windows_begin_and_end_at_words() -> None:
    text = "one two three four five six seven eight nine ten"
    segments = text_segments("p0", text, ChunkPlan(text_window=20, text_overlap=8))
    words = set(text.split())
    assert len(segments) > 2
    assert all(set(str(s.text).split()) <= words for s in segments)


def test_words_longer_than_a_window_are_cut() -> None:
    assert [s.text for s in text_segments("p", "x" * 25, ChunkPlan(text_window=10, text_overlap=2))] == [
        "x" * 10,
        "x" * 10,
        "x" * 9,
    ]


def test_a_short_text_is_one_segment_of_its_part() -> None:
    (segment,) = text_segments("caption", "hello", ChunkPlan())
    assert (segment.part, segment.modality, segment.start, segment.end) == ("caption", Modality.TEXT, 0, 5)
    assert (segment.t0, segment.frames, segment.sound) == (None, (), None)


def test_empty_text_has_nothing_to_judge() -> None:
    assert text_segments("p", "", ChunkPlan()) == []


@pytest.mark.parametrize(("window", "overlap"), [(10, 5), (10, -1), (0, 0)])
def test_an_overlap_that_would_never_end_is_refused(window: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="text_overlap"):
        text_segments("p", "some text", ChunkPlan(text_window=window, text_overlap=overlap))
