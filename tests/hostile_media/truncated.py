"""Files that end too early: cut at and inside every kind of element of every format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from hostile_media import elements
from hostile_media.case import ANY, EXAMINED, REFUSED, Case
from media_files.films import write
from media_files.pictures import animation, quarters, saved

FAMILY = "truncated"
_SECONDS = 3.0
_SMALL = {"seconds": _SECONDS, "fps": 10, "gop": 10, "rate": 16_000}
_FAST = {"movflags": "faststart"}
_FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}

_TAIL = 0.97
"""Behind this share of a file there may be nothing but an index, or less than is missed: then it is examined, or refused."""

# name: (how it is written, where its elements begin, most cuts, behind which share of it nothing need be missed)
_FILMS: dict[str, tuple[dict, Callable[[bytes], Iterator[int]], int, float]] = {
    "fast.mp4": ({"container_options": _FAST}, elements.boxes, 60, _TAIL),
    "late.mp4": ({}, elements.boxes, 24, _TAIL),
    "fragments.mp4": ({"container_options": _FRAGMENTS}, elements.boxes, 24, 0.0),
    "a.mov": ({"container_options": _FAST}, elements.boxes, 16, _TAIL),
    "a.m4a": ({"video": None, "container_options": _FAST}, elements.boxes, 16, _TAIL),
    "a.mkv": ({}, elements.ebml, 32, _TAIL),
    "a.webm": ({"video": "libvpx", "audio": "libopus", "rate": 48_000}, elements.ebml, 24, _TAIL),
    "a.avi": ({"video": "mpeg4", "audio": "libmp3lame"}, elements.riff, 20, _TAIL),
    "a.ts": ({}, elements.transport, 12, 0.0),
    "a.wav": ({"video": None, "audio": "pcm_s16le"}, elements.riff, 8, _TAIL),
    "a.flac": ({"video": None, "audio": "flac"}, elements.flac, 12, _TAIL),
    "a.ogg": ({"video": None, "audio": "libopus", "rate": 48_000}, elements.found(b"OggS"), 10, 0.0),
    "a.mp3": ({"video": None, "audio": "libmp3lame"}, elements.found(b"\xff\xf3"), 12, 0.0),
    "a.aac": ({"video": None}, elements.found(b"\xff\xf1"), 10, 0.0),
}
_STILLS: dict[str, tuple[Callable[[bytes], Iterator[int]], int]] = {
    "PNG": (elements.png, 12),
    "JPEG": (elements.jpeg, 24),
    "WEBP": (elements.riff, 8),
    "GIF": (elements.gif, 8),
    "TIFF": (elements.tiff, 16),
    "BMP": (elements.fixed, 20),
    "AVIF": (elements.boxes, 20),
}


def cases(folder: Path) -> Iterator[Case]:
    for name, (how, places, most, tail) in _FILMS.items():
        data = write(folder / name, **{**_SMALL, **how}).read_bytes()
        told = how.get("video", "") is not None
        yield Case(FAMILY, f"{name} whole", data, EXAMINED, _SECONDS, told=told)
        for at in elements.cuts(data, places(data), most):
            expect = REFUSED if at < tail * len(data) else ANY
            yield Case(FAMILY, f"{name} at {at} of {len(data)}", data[:at], expect, told=told)
    stills = {kind: (saved(_picture(), kind), *how) for kind, how in _STILLS.items()}
    stills["moving GIF"] = (animation("GIF"), elements.gif, 16)
    stills["moving PNG"] = (animation("PNG"), elements.png, 16)
    stills["moving WEBP"] = (animation("WEBP"), elements.riff, 12)
    for kind, (data, places, most) in stills.items():
        yield Case(FAMILY, f"{kind} whole", data, EXAMINED)
        for at in elements.cuts(data, places(data), most):
            ends = at < _TAIL * len(data) and kind != "moving GIF"  # which states no number of frames
            yield Case(FAMILY, f"{kind} at {at} of {len(data)}", data[:at], REFUSED if ends else ANY)


def _picture():  # type: ignore[no-untyped-def]
    """Large enough to have data in every element."""
    return quarters(96, 64).rotate(7)
