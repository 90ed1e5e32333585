"""Merging segment scores is commutative, associative and idempotent; the order of arrival does not matter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from omniguard.domain.scores import Evidence, NamedCategory, SegmentScore, merge_segments
from property.policies import LAWS

NAMES = st.sampled_from(["hate", "test"])
SCORE = st.sampled_from([0.0, 0.3, 0.7, 1.0])
KEYS = st.sampled_from(["text", "video", "joint"])


@st.composite
def scores(draw: st.DrawFn, part: str = "p0", index: int = 0) -> SegmentScore:
    """As judges make them: names once, everything sorted."""
    return SegmentScore(
        part=part,
        index=index,
        scores=dict(sorted(draw(st.dictionaries(KEYS, SCORE)).items())),
        categories=tuple(NamedCategory(n, c) for n, c in sorted(draw(st.dictionaries(NAMES, SCORE)).items())),
        modalities=tuple(sorted(draw(st.sets(KEYS)))),
        assessed={m: tuple(sorted(v)) for m, v in sorted(draw(st.dictionaries(KEYS, st.sets(NAMES), max_size=2)).items())},
        evidence=tuple(sorted(draw(st.sets(st.builds(Evidence, st.sampled_from(["ocr", "speech"])), max_size=2)), key=repr)),
    )


@LAWS
@given(scores(), scores())
def test_merge_is_commutative(a: SegmentScore, b: SegmentScore) -> None:
    assert a.merge(b) == b.merge(a)


@LAWS
@given(scores(), scores(), scores())
def test_merge_is_associative(a: SegmentScore, b: SegmentScore, c: SegmentScore) -> None:
    assert a.merge(b).merge(c) == a.merge(b.merge(c))


@LAWS
@given(scores(), scores())
def test_merge_is_idempotent(a: SegmentScore, b: SegmentScore) -> None:
    merged = a.merge(b)
    assert a.merge(a) == a
    assert merged.merge(a) == merged.merge(b) == merged


@LAWS
@given(scores(), scores())
def test_merge_never_lowers_a_score_and_never_vouches_for_more(a: SegmentScore, b: SegmentScore) -> None:
    merged = a.merge(b)
    assert all(merged.scores[k] >= v for k, v in a.scores.items())
    assert merged.unsafe == max(a.unsafe, b.unsafe)
    assert all(set(merged.assessed[m]) <= set(names) for m, names in a.assessed.items())


@LAWS
@given(st.lists(st.builds(lambda s, i: (s, i), scores(), st.integers(0, 2)), max_size=6), st.randoms())
def test_order_and_duplicates_do_not_matter(drawn: list[tuple[SegmentScore, int]], random) -> None:
    from dataclasses import replace

    segments = [replace(s, index=i) for s, i in drawn]
    shuffled = segments + segments[:2]
    random.shuffle(shuffled)
    assert merge_segments(shuffled) == merge_segments(segments)
