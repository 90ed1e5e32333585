"""What is found of an upload can be read at any moment."""

from __future__ import annotations

import pytest

from omniguard.domain.content import Frame, MediaInfo, Modality, Segment
from omniguard.domain.decision import DECIDING, Problem
from omniguard.domain.reason import Reason
from omniguard.domain.scores import ModelInfo, PartCoverage, SegmentScore
from omniguard.stages.findings import Findings

MODEL = ModelInfo("omniguard", "d", "memory")


def sound(seconds: float | None, unexamined: int = 0) -> MediaInfo:
    return MediaInfo(seconds, has_frames=False, has_sound=True, unexamined_streams=unexamined)


def add(findings: Findings, index: int, t0: float = 0.0, t1: float = 1.0, unsafe: float = 0.0, part: str = "p") -> Segment:
    segment = Segment(part, index, Modality.VIDEO, t0, t1, frames=(Frame(b"a"), Frame(b"b")))
    findings.add(segment, SegmentScore(part, index, {"video": unsafe}, t0, t1))
    return segment


def coverage(findings: Findings) -> PartCoverage:
    return findings.assessment(MODEL, 0.5).coverage["p"]


@pytest.mark.parametrize(
    ("spans", "examined"),
    [
        ([(0, 6), (5, 11)], 11.0),
        ([(5, 11), (0, 6)], 11.0),
        ([(0, 10), (2, 4)], 10.0),
        ([(0, 4), (6, 10)], 8.0),
        ([(0, 6), (0, 6)], 6.0),
        ([], 0.0),
        ([(0, 13)], 12.0),
    ],
    ids=["overlap", "out of order", "within", "gap", "twice", "nothing", "past the end"],
)
def test_coverage_counts_every_second_once(spans: list[tuple[float, float]], examined: float) -> None:
    findings = Findings()
    findings.probed("p", sound(12.0))
    for index, (t0, t1) in enumerate(spans):
        add(findings, index, t0, t1)
    assert coverage(findings) == PartCoverage(12.0, examined, 2 * len(spans))


def test_a_still_has_frames_and_no_seconds() -> None:
    findings = Findings()
    findings.probed("p", sound(None))
    findings.add(Segment("p", 0, Modality.IMAGE, frames=(Frame(b"a"),)), SegmentScore("p", 0, {"image": 0.0}))
    assert coverage(findings) == PartCoverage(None, None, 1)


def test_a_part_that_was_probed_and_never_judged_is_incomplete() -> None:
    findings = Findings()
    findings.probed("p", sound(12.0))
    assert not coverage(findings).complete


def test_tracks_that_are_not_examined_are_a_problem() -> None:
    findings = Findings()
    findings.probed("p", sound(12.0, unexamined=2))
    (problem,) = findings.problems
    assert (problem.reason, problem.part) == (Reason.NOT_ASSESSED, "p")
    assert "2 more tracks or pages" in problem.message


def test_the_segments_that_decide_are_kept_for_the_critique_in_the_order_asked_for() -> None:
    findings = Findings()
    scores = [0.1, 0.9, 0.3, 0.8, 0.7, 0.2]
    segments = [add(findings, index, unsafe=score) for index, score in enumerate(scores)]
    assert findings.kept([("p", 3), ("p", 1), ("p", 4)]) == [segments[3], segments[1], segments[4]]
    assert findings.kept([("p", 0), ("p", 2), ("q", 1)]) == []
    assert len(findings._top) == DECIDING


def test_the_highest_score_so_far_and_that_of_the_text_alone() -> None:
    findings = Findings()
    assert (findings.unsafe, findings.text_unsafe()) == (0.0, 0.0)
    findings.add(Segment("t", 0, Modality.TEXT, text="a"), SegmentScore("t", 0, {"text": 0.4}))
    add(findings, 0, unsafe=0.9)
    assert (findings.unsafe, findings.text_unsafe()) == (0.9, 0.4)


def test_segments_merge_by_part_and_index_whatever_came_first() -> None:
    one, other = Findings(), Findings()
    for findings, order in ((one, (0, 1, 2)), (other, (2, 0, 1))):
        for index in order:
            add(findings, index, float(index), index + 1.0, unsafe=index / 10)
        findings.add(Segment("p", 0, Modality.VIDEO, 0.0, 1.0), SegmentScore("p", 0, {"video": 0.5}, 0.0, 1.0))
    assert one.assessment(MODEL, 0.5).segments == other.assessment(MODEL, 0.5).segments
    assert [s.unsafe for s in one.assessment(MODEL, 0.5).segments] == [0.5, 0.1, 0.2]


def test_one_problem_is_told_once() -> None:
    findings = Findings()
    for part in ("p", "p", "q"):
        findings.fail(Problem(Reason.DAMAGED, "cut off", part))
    assert [p.part for p in findings.problems] == ["p", "q"]
