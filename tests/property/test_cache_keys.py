"""Keys of the cache: different inputs never share one, and the same input always gives the same."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from omniguard.domain.cache_keys import assessment_key, attempts_key, digest, flight_key, index_key, segment_digest, segment_key
from omniguard.domain.content import Frame, Modality, Segment, Sound, Turn

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=6), st.binary(max_size=6)
)
fields = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=8)
parts = st.lists(
    st.tuples(
        st.sampled_from([m.value for m in Modality]), st.none() | st.text(max_size=4), st.text("0123456789abcdef", max_size=4)
    ),
    max_size=3,
)
turns = st.lists(st.builds(Turn, st.text(max_size=4), st.text(max_size=4)), max_size=2)
words = st.text(max_size=4)
inputs = st.tuples(words, parts, turns, words, words, words)
segments = st.builds(
    Segment,
    part=words,
    index=st.integers(0, 3),
    modality=st.sampled_from(Modality),
    t0=st.none() | st.sampled_from([0.0, 6.0]),
    t1=st.none() | st.sampled_from([6.0, 12.0]),
    text=st.none() | words,
    start=st.none() | st.integers(0, 3),
    end=st.none() | st.integers(0, 3),
    frames=st.lists(st.builds(Frame, st.binary(max_size=3), st.sampled_from([0.0, 1.0])), max_size=3).map(tuple),
    sound=st.none() | st.builds(Sound, st.binary(max_size=3), st.sampled_from([8_000, 16_000])),
)


def typed(value: object) -> object:
    """As `==` would compare it if 1, 1.0 and True, or 0.0 and -0.0, were different."""
    return [typed(v) for v in value] if isinstance(value, list) else (type(value).__name__, repr(value))


@given(fields, fields)
def test_digests_are_equal_only_for_equal_values(a: object, b: object) -> None:
    assert (digest(a) == digest(b)) == (typed(a) == typed(b))


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_moving_a_boundary_between_fields_changes_the_digest(a: list[bytes], b: list[bytes]) -> None:
    assert (digest(a) == digest(b)) == (a == b)


@given(st.lists(words, min_size=2, max_size=4))
def test_joined_fields_never_collide_with_separate_ones(items: list[str]) -> None:
    assert digest(items) != digest(["".join(items)])


@given(inputs, inputs)
def test_assessment_keys_differ_exactly_when_any_input_does(a: tuple, b: tuple) -> None:
    assert (assessment_key(*a) == assessment_key(*b)) == (a == b)


@given(segments, segments, words, words)
def test_segment_digest_covers_bytes_times_and_text_but_not_the_name(a: Segment, b: Segment, x: str, y: str) -> None:
    same = replace(a, part="", index=0) == replace(b, part="", index=0) and x == y
    assert (segment_digest(a, x) == segment_digest(b, y)) == same


@given(st.tuples(words, words, words, words, words), st.tuples(words, words, words, words, words))
def test_segment_keys_differ_exactly_when_any_input_does(a: tuple, b: tuple) -> None:
    assert (segment_key(*a) == segment_key(*b)) == (a == b)


def test_a_frame_moved_between_frames_and_sound_is_another_segment() -> None:
    base = Segment(part="p", index=0, modality=Modality.VIDEO, t0=0.0, t1=6.0)
    shown = replace(base, frames=(Frame(b"ab"), Frame(b"c")))
    assert segment_digest(shown, "") != segment_digest(replace(base, frames=(Frame(b"a"), Frame(b"bc"))), "")
    assert segment_digest(shown, "") != segment_digest(replace(base, frames=(Frame(b"ab"),), sound=Sound(b"c")), "")


def test_keys_show_the_kind_and_the_tenant_and_hide_the_content_id() -> None:
    assert assessment_key("acme", [], [], "", "", "").startswith("og:a:acme:")
    assert segment_key("acme", "", "", "", "").startswith("og:s:acme:")
    assert index_key("acme|post|17").startswith("og:i:acme:")
    assert "post" not in index_key("acme|post|17")
    assert len({flight_key("k"), index_key("k"), attempts_key("k")}) == 3
