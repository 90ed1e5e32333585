"""What one part may cost to decode."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Limits of one part, and of the process that decodes it.

    `max_pixels` counts one picture; `max_animation_pixels` all pictures of an animation together. `max_frames_per_window`
    bounds the video frames decoded for one segment. `memory_bytes` is the process's address space, libraries included.
    `cpu_seconds` is processor time for one part; `stall_seconds` is wall time without a segment.
    """

    max_pixels: int = 50_000_000
    max_animation_frames: int = 3_000
    max_animation_pixels: int = 2_000_000_000
    max_seconds: float = 7_200.0
    max_frames_per_window: int = 3_000
    max_streams: int = 16
    memory_bytes: int = 3 * 1024**3
    cpu_seconds: int = 1_800
    stall_seconds: float = 60.0
