"""The spans a verdict shows, merged until they fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

MAX_SPANS = 500


@dataclass(frozen=True, slots=True)
class Span:
    """Where in a part harm was found. `t0` and `t1` are seconds; None for texts and stills. `categories` may be empty."""

    part: str
    t0: float | None
    t1: float | None
    categories: tuple[str, ...]
    score: float
    modalities: tuple[str, ...]

    def join(self, later: Span) -> Span:
        """One span over both, and over what lies between them."""
        ends = [t for t in (self.t1, later.t1) if t is not None]
        return Span(
            part=self.part,
            t0=self.t0,
            t1=max(ends, default=None),
            categories=tuple(sorted({*self.categories, *later.categories})),
            score=max(self.score, later.score),
            modalities=tuple(sorted({*self.modalities, *later.modalities})),
        )


def fit(spans: Sequence[Span], limit: int = MAX_SPANS) -> tuple[Span, ...]:
    """At most `limit` spans, by joining neighbours of one part across the smallest gaps.

    `spans` are grouped by part and ordered in time. With more parts than `limit` one span a part remains.
    """
    excess = len(spans) - limit
    if excess <= 0:
        return tuple(spans)
    gaps = sorted((_gap(a, b), i) for i, (a, b) in enumerate(pairwise(spans), start=1) if a.part == b.part)
    joined = {i for _, i in gaps[:excess]}
    result: list[Span] = []
    for i, span in enumerate(spans):
        if i in joined:
            result[-1] = result[-1].join(span)
        else:
            result.append(span)
    return tuple(result)


def _gap(a: Span, b: Span) -> float:
    return 0.0 if a.t1 is None or b.t0 is None else max(0.0, b.t0 - a.t1)
