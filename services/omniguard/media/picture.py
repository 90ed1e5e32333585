"""One decoded picture becomes a JPEG inside the plan's limits."""

from __future__ import annotations

import io
import math

from PIL import Image

from omniguard.domain.plan import ChunkPlan


def fit(width: float, height: float, max_pixels: int) -> tuple[int, int]:
    """The largest size of the same shape with at most `max_pixels`; never larger than it was, never empty."""
    scale = min(1.0, math.sqrt(max_pixels / (width * height)))
    small, large = sorted((width * scale, height * scale))
    short = max(1, int(small))
    long = max(1, min(int(large), max_pixels // short))
    return (short, long) if width <= height else (long, short)


def encode(image: Image.Image, plan: ChunkPlan) -> bytes:
    """JPEG bytes of an RGB picture, made smaller where it is over the plan's pixels."""
    size = fit(image.width, image.height, plan.max_pixels)
    if size != image.size:
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=plan.jpeg_quality)
    return out.getvalue()
