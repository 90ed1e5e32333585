"""What an event's stages have found so far; readable at any moment, so that a deadline costs only what is still missing."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from omniguard.domain.content import MediaInfo, Modality, Segment
from omniguard.domain.decision import DECIDING, Problem
from omniguard.domain.reason import Reason
from omniguard.domain.scores import Assessment, ModelInfo, PartCoverage, SegmentScore, merge_segments
from omniguard.stages.trials import Suspicion


class Findings:
    """Collects scores, coverage and problems of one upload."""

    def __init__(self) -> None:
        """Start with nothing found."""
        self._scores: list[SegmentScore] = []
        self._seconds: dict[str, float] = {}
        self._spans: dict[str, list[tuple[float, float]]] = {}
        self._frames: dict[str, int] = {}
        self._top: list[tuple[float, int, Segment]] = []
        self.problems: list[Problem] = []
        self.merged = 0
        self.stale = False
        """The model changed under way: what is here belongs to two of them."""
        self.suspicion: Suspicion | None = None
        """What the judge knows of deaths of the guard's process with the upload under way."""

    def probed(self, part: str, info: MediaInfo) -> None:
        """Note how long a part is, and what of it will not be looked at."""
        if info.seconds is not None:
            self._seconds[part] = info.seconds
        if info.unexamined_streams:
            found = f"part {part} has {info.unexamined_streams} more tracks or pages, which were not examined"
            self.fail(Problem(Reason.NOT_ASSESSED, f"{found}; send them as parts of their own", part))

    def add(self, segment: Segment, score: SegmentScore) -> None:
        """Note one judged segment; the few that score highest are kept for the critique."""
        self._scores.append(score)
        self.merged += 1
        self._frames[segment.part] = self._frames.get(segment.part, 0) + len(segment.frames)
        if segment.t0 is not None and segment.t1 is not None:
            self._spans.setdefault(segment.part, []).append((segment.t0, segment.t1))
        heapq.heappush(self._top, (score.unsafe, -self.merged, segment))
        if len(self._top) > DECIDING:
            heapq.heappop(self._top)

    def fail(self, problem: Problem) -> None:
        """Note why something was not examined."""
        if problem not in self.problems:
            self.problems.append(problem)

    @property
    def refused(self) -> bool:
        """The guard would not look: for good, unless the limits that the upload was cut by are those of a model that is gone."""
        return any(problem.reason is Reason.UNSUPPORTED and problem.stage == "judge" for problem in self.problems)

    def kept(self, wanted: Iterable[tuple[str, int]]) -> list[Segment]:
        """The segments a critique may speak of, as far as they are still here."""
        segments = {(s.part, s.index): s for _, _, s in sorted(self._top, key=lambda top: top[:2])}  # the higher of two sounds
        return [segments[key] for key in wanted if key in segments]

    @property
    def unsafe(self) -> float:
        """The highest score so far."""
        return max((score for score, _, _ in self._top), default=0.0)

    def text_unsafe(self) -> float:
        """The highest score that the text reached alone."""
        return max((s.scores.get(Modality.TEXT, 0.0) for s in self._scores), default=0.0)

    def assessment(self, model: ModelInfo, floor: float) -> Assessment:
        """All of it so far, merged."""
        scores = merge_segments(self._scores)
        parts = {s.part for s in scores} | self._seconds.keys()
        return Assessment(model, scores, {part: self._coverage(part) for part in sorted(parts)}, floor)

    def _coverage(self, part: str) -> PartCoverage:
        seconds = self._seconds.get(part)
        examined = None if seconds is None else min(seconds, _union(self._spans.get(part, ())))
        return PartCoverage(seconds=seconds, examined=examined, frames=self._frames.get(part, 0))


def _union(spans: Iterable[tuple[float, float]]) -> float:
    total, end = 0.0, float("-inf")
    for t0, t1 in sorted(spans):
        total += max(0.0, t1 - max(t0, end))
        end = max(end, t1)
    return total
