"""What a segment is made of decides what must be vouched for in it."""

from __future__ import annotations

import pytest

from omniguard.domain.content import Modality
from omniguard.domain.coverage import modalities_of
from omniguard.domain.scores import SegmentScore

A, I, T, V = Modality.AUDIO, Modality.IMAGE, Modality.TEXT, Modality.VIDEO  # noqa: E741


@pytest.mark.parametrize(
    ("declared", "judged", "expected"),
    [
        (T, {"text"}, {T}),
        (I, {"image"}, {I}),
        (I, {"video"}, {V}),
        (V, {"video"}, {V}),
        (V, {"video", "audio"}, {V, A}),
        (A, {"audio"}, {A}),
        (A, {"video", "audio"}, {A, V}),  # a film that was sent as sound: its pictures need vouching for as well
        (A, {"video"}, {A, V}),
    ],
)
def test_what_was_judged_beside_what_was_declared(declared: Modality, judged: set[str], expected: set[Modality]) -> None:
    segment = SegmentScore("p", 0, scores={}, assessed=dict.fromkeys(judged, ()))
    assert modalities_of(declared, segment) == expected
