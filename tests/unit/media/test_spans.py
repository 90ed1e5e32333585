"""Windows of time."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniguard.domain.plan import ChunkPlan
from omniguard.media.spans import SHORTEST_TAIL, frame_step, spans, stride

SECONDS = st.floats(0.001, 500, allow_nan=False)


@settings(deadline=None)
@given(seconds=SECONDS, window=st.floats(1, 60), share=st.floats(0, 0.9))
def test_windows_cover_the_whole_in_order(seconds: float, window: float, share: float) -> None:
    overlap = window * share
    found = list(spans(seconds, window, overlap))
    assert found[0][0] == 0.0
    assert found[-1][1] == seconds
    for t0, t1 in found:
        assert 0 < t1 - t0 <= window + SHORTEST_TAIL + 1e-9
    for (a0, a1), (b0, b1) in itertools.pairwise(found):
        assert a0 < b0 <= a1 + 1e-9, "a gap"
        assert a1 < b1
        assert a1 - b0 == pytest.approx(overlap, abs=1e-6)


def test_nothing_has_no_windows() -> None:
    assert list(spans(0.0, 6.0)) == []


def test_a_tiny_tail_belongs_to_the_window_before_it() -> None:
    assert list(spans(12.4, 6.0)) == [(0.0, 6.0), (6.0, 12.4)]
    assert list(spans(13.0, 6.0)) == [(0.0, 6.0), (6.0, 12.0), (12.0, 13.0)]


@pytest.mark.parametrize(("window", "overlap"), [(6.0, 6.0), (6.0, -1.0), (0.0, 0.0)])
def test_windows_that_stand_still_are_refused(window: float, overlap: float) -> None:
    with pytest.raises(ValueError, match="overlap"):
        stride(window, overlap)


@settings(deadline=None)
@given(fps=st.floats(0.01, 60), window=st.floats(1, 60), frames=st.integers(1, 64))
def test_every_window_gets_a_frame_and_none_too_many(fps: float, window: float, frames: int) -> None:
    step = frame_step(ChunkPlan(fps=fps, window_seconds=window, max_frames=frames))
    assert step <= window
    assert math.ceil((window + SHORTEST_TAIL) / step - 1e-9) <= frames or step == window


@pytest.mark.parametrize(("fps", "frames"), [(0.0, 8), (-1.0, 8), (1.0, 0)])
def test_a_plan_without_frames_is_refused(fps: float, frames: int) -> None:
    with pytest.raises(ValueError, match="fps"):
        frame_step(ChunkPlan(fps=fps, max_frames=frames))
