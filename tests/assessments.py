"""Assessments and segment scores that use every field."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from omniguard.domain.scores import Assessment, Critique, Evidence, ModelInfo, NamedCategory, PartCoverage, SegmentScore

SCORE = SegmentScore(
    part="0",
    index=3,
    scores=MappingProxyType({"joint": 0.25, "video": 1 / 3}),
    t0=6.0,
    t1=12.5,
    categories=(NamedCategory("hate", 0.9), NamedCategory("privacy", 0.1)),
    modalities=("video",),
    assessed={"text": ("hate",), "video": ()},
    evidence=(Evidence("frame", 7.0, None, "hate", 0.9), Evidence("ocr")),
)
FOUND = Assessment(
    model=ModelInfo("omniguard", "d1", "lite", None),
    segments=(SCORE, replace(SCORE, index=4, scores={})),
    coverage={"0": PartCoverage(41.2, 41.2, 42, ("video:hate",)), "1": PartCoverage()},
    floor=0.4,
    critique=Critique("what is \x00 said, “quoted”", (("0", 3),), "en", 5, 12, True),
)
BARE = Assessment(model=ModelInfo("omniguard", "d1", "lite"))


def plain(score: SegmentScore) -> SegmentScore:
    """A mapping proxy comes back as a dict."""
    return replace(score, scores=dict(score.scores))


WRITTEN = replace(FOUND, segments=tuple(map(plain, FOUND.segments)))
