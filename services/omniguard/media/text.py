"""Text is cut into windows that overlap, at white space where there is some."""

from __future__ import annotations

from omniguard.domain.content import Modality, Segment
from omniguard.domain.plan import ChunkPlan


def text_segments(part_id: str, text: str, plan: ChunkPlan) -> list[Segment]:
    """Cut `text` into windows of at most `plan.text_window` characters; every character is in at least one.

    `start` and `end` are offsets into `text`, and `text[start:end]` is the segment's text. Empty text gives no segment.

    Raises:
        ValueError: the plan's overlap is half its window or more.

    """
    if not 0 <= plan.text_overlap < plan.text_window / 2:
        raise ValueError(f"text_overlap is {plan.text_overlap}; expected 0 or more and less than half of {plan.text_window}")
    segments: list[Segment] = []
    start = end = 0
    while end < len(text):
        end = _end(text, start, plan.text_window)
        segments.append(Segment(part_id, len(segments), Modality.TEXT, text=text[start:end], start=start, end=end))
        start = _start(text, end - plan.text_overlap, end)
    return segments


def _end(text: str, start: int, window: int) -> int:
    """Where the window that begins at `start` ends: after the last white space of its second half, if there is some."""
    limit = start + window
    if limit >= len(text):
        return len(text)
    return next((i for i in range(limit, start + (window + 1) // 2, -1) if text[i - 1].isspace()), limit)


def _start(text: str, earliest: int, latest: int) -> int:
    """Where the next window begins: at the first word of the overlap."""
    return next((i for i in range(max(earliest, 1), latest) if text[i - 1].isspace()), earliest)
