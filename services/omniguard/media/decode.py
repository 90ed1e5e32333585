"""One entry for every kind of media. Synchronous and pure but for reading the file; runs in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from omniguard.domain.content import MediaInfo, Segment
from omniguard.domain.plan import ChunkPlan
from omniguard.errors import BadContent, Reason
from omniguard.media.image import image_segments, probe_image
from omniguard.media.limits import DecodeLimits
from omniguard.media.sniff import HEAD_BYTES, sniff
from omniguard.media.timeline import probe_timeline, timeline_segments


def probe(path: Path, limits: DecodeLimits) -> MediaInfo:
    """What the file holds, by its own bytes; nobody's claim is believed.

    Raises:
        BadContent: damaged, unsupported, too_large, too_long.

    """
    media_type = _media_type(path)
    return (probe_image if media_type.startswith("image/") else probe_timeline)(path, media_type, limits)


def decode(part_id: str, path: Path, plan: ChunkPlan, limits: DecodeLimits) -> Iterator[Segment]:
    """The file's segments in order of time. Memory stays bounded by a few windows.

    Raises as `probe`; what was yielded before stays valid.
    """
    media_type = _media_type(path)
    segments = image_segments if media_type.startswith("image/") else timeline_segments
    yield from segments(part_id, path, media_type, plan, limits)


def _media_type(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    media_type = sniff(head)
    if media_type is None:
        found = "the file is empty" if not head else "the first bytes belong to no format that is decoded here"
        raise BadContent(Reason.UNSUPPORTED, f"{found}; expected a common image, sound or video file: convert it")
    return media_type
