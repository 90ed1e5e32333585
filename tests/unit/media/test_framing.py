"""Messages between a decoder process and its owner."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniguard.domain.content import Frame, MediaInfo, Modality, Segment, Sound
from omniguard.media.framing import (
    MAX_HEADER,
    PREFIX,
    BrokenFrame,
    lengths,
    pack_info,
    pack_segment,
    unpack_info,
    unpack_segment,
)


def parted(message: bytes) -> tuple[dict, bytes]:
    head, body = lengths(message[: PREFIX.size])
    rest = message[PREFIX.size :]
    assert len(rest) == head + body
    return orjson.loads(rest[:head]), rest[head:]


TIMES = st.none() | st.floats(0, 7200)
SEGMENTS = st.builds(
    Segment,
    part=st.just("p"),
    index=st.integers(0, 10_000),
    modality=st.sampled_from(Modality),
    t0=TIMES,
    t1=TIMES,
    frames=st.lists(st.builds(Frame, st.binary(max_size=20), st.floats(0, 7200)), max_size=5).map(tuple),
    sound=st.none() | st.builds(Sound, st.binary(max_size=20), st.sampled_from([8_000, 16_000])),
)


@given(SEGMENTS)
def test_a_segment_arrives_as_it_was_sent(segment: Segment) -> None:
    header, body = parted(pack_segment(segment))
    assert unpack_segment("p", header, body) == segment


def test_facts_arrive_as_they_were_sent() -> None:
    info = MediaInfo(3.5, has_frames=True, has_sound=False, width=4, height=3, unexamined_streams=1)
    assert unpack_info(parted(pack_info(info))[0]) == info


def test_a_message_larger_than_any_honest_one_is_refused() -> None:
    with pytest.raises(BrokenFrame, match="at most"):
        lengths(PREFIX.pack(MAX_HEADER + 1, 0))


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ({}, b""),
        ({"frames": [], "sound": None, "modality": "smell", "index": 0, "t0": None, "t1": None}, b""),
        ({"frames": [[0, 5]], "sound": None, "modality": "image", "index": 0, "t0": None, "t1": None}, b"12"),
        ({"frames": [], "sound": None, "modality": "image", "index": 0, "t0": None, "t1": None}, b"12"),
        ({"frames": 3, "sound": None, "modality": "image", "index": 0, "t0": None, "t1": None}, b""),
    ],
)
def test_a_header_that_does_not_fit_its_body_is_refused(header: dict, body: bytes) -> None:
    with pytest.raises(BrokenFrame):
        unpack_segment("p", header, body)


def test_facts_with_strange_names_are_refused() -> None:
    with pytest.raises(BrokenFrame):
        unpack_info({"info": {"colour": "red"}})
