"""How a stretch of time is cut into windows. Plain arithmetic, in seconds."""

from __future__ import annotations

from collections.abc import Iterator

from omniguard.domain.plan import ChunkPlan

SHORTEST_TAIL = 0.5
"""A remainder up to this long belongs to the window before it, which is longer by as much."""


def stride(window: float, overlap: float) -> float:
    """Seconds from the begin of one window to the begin of the next.

    Raises:
        ValueError: windows would not move on.

    """
    if not 0 <= overlap < window:
        raise ValueError(f"overlap is {overlap} s; expected 0 or more and less than the window of {window} s")
    return window - overlap


def window_end(t0: float, window: float, end: float | None) -> float:
    """Where the window that begins at `t0` ends. `end` is the end of the whole, None while it is known to be far."""
    t1 = t0 + window
    return end if end is not None and end <= t1 + SHORTEST_TAIL else t1


def spans(seconds: float, window: float, overlap: float = 0.0) -> Iterator[tuple[float, float]]:
    """Windows in order of time that cover 0 to `seconds` with nothing left out."""
    step = stride(window, overlap)
    index, t1 = 0, 0.0
    while t1 < seconds:
        t0 = index * step
        t1 = window_end(t0, window, seconds)
        yield t0, t1
        index += 1


def frame_step(plan: ChunkPlan) -> float:
    """Seconds between sampled frames: `1 / fps`, more where a window would hold too many, less where it would hold none.

    Raises:
        ValueError: the plan asks for no frames at all.

    """
    if plan.fps <= 0 or plan.max_frames < 1:
        raise ValueError(f"fps is {plan.fps} and max_frames {plan.max_frames}; expected both above 0")
    return min(max(1 / plan.fps, (plan.window_seconds + SHORTEST_TAIL) / plan.max_frames), plan.window_seconds)
