"""Decoding in this process, and reading back what a segment shows and sounds like."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omniguard.domain.content import Segment
from omniguard.domain.plan import ChunkPlan
from omniguard.errors import BadContent
from omniguard.media.decode import decode
from omniguard.media.limits import DecodeLimits

LIMITS = DecodeLimits()
PLAN = ChunkPlan()


def cut(path: Path, plan: ChunkPlan = PLAN, limits: DecodeLimits = LIMITS) -> list[Segment]:
    return list(decode("p0", path, plan, limits))


def collected(path: Path, limits: DecodeLimits = LIMITS) -> tuple[list[Segment], BadContent]:
    """What came before the refusal, and the refusal."""
    found: list[Segment] = []
    with pytest.raises(BadContent) as caught:  # noqa: PT012 - what was yielded before the refusal is the point
        for segment in decode("p0", path, PLAN, limits):
            found.append(segment)  # noqa: PERF402
    return found, caught.value


def level(data: bytes) -> float:
    return float(np.asarray(Image.open(io.BytesIO(data)).convert("L"), float).mean())


def seconds_seen(segments: list[Segment]) -> list[tuple[float, int]]:
    """For every frame its time, and the second that its brightness tells."""
    return [(frame.time, round((level(frame.data) - 19) / 8)) for segment in segments for frame in segment.frames]


def pcm(segment: Segment) -> np.ndarray:
    assert segment.sound is not None
    return np.frombuffer(segment.sound.data, np.int16).astype(float)
