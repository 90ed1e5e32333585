"""What a decoder process and its owner say to each other: JSON, then raw bytes. No pickle: the process reads hostile files.

message = length of the header (4 bytes, big endian), length of the body (4 bytes), header (JSON object), body
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from omniguard.domain.content import Frame, MediaInfo, Modality, Segment, Sound

PREFIX = struct.Struct(">II")
MAX_HEADER = 1 << 20
MAX_BODY = 256 << 20


class BrokenFrame(ValueError):
    """The other side sent what no honest process sends."""


def pack(header: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> bytes:
    """One message as bytes."""
    head = orjson.dumps(header)
    return b"".join((PREFIX.pack(len(head), sum(map(len, blobs))), head, *blobs))


def lengths(prefix: bytes) -> tuple[int, int]:
    """Lengths of header and body.

    Raises:
        BrokenFrame: larger than any honest message.

    """
    head, body = PREFIX.unpack(prefix)
    if head > MAX_HEADER or body > MAX_BODY:
        raise BrokenFrame(f"a message of {head} + {body} bytes; expected at most {MAX_HEADER} + {MAX_BODY}")
    return head, body


def pack_segment(segment: Segment) -> bytes:
    """A media segment as one message."""
    header = {
        "kind": "segment",
        "index": segment.index,
        "modality": segment.modality,
        "t0": segment.t0,
        "t1": segment.t1,
        "frames": [(frame.time, len(frame.data)) for frame in segment.frames],
        "sound": (segment.sound.sample_rate, len(segment.sound.data)) if segment.sound else None,
    }
    return pack(header, [*(frame.data for frame in segment.frames), *([segment.sound.data] if segment.sound else [])])


def unpack_segment(part_id: str, header: Mapping[str, Any], body: bytes) -> Segment:
    """The segment of a message.

    Raises:
        BrokenFrame: header and body do not fit together.

    """
    try:
        frames, at = [], 0
        for time, size in header["frames"]:
            frames.append(Frame(body[at : at + size], float(time)))
            at += size
        sound = None
        if header["sound"] is not None:
            rate, size = header["sound"]
            sound = Sound(body[at : at + size], int(rate))
            at += size
        if at != len(body):
            raise BrokenFrame(f"a segment of {at} bytes in a body of {len(body)}")
        modality, t0, t1 = Modality(header["modality"]), header["t0"], header["t1"]
        return Segment(part_id, int(header["index"]), modality, t0, t1, frames=tuple(frames), sound=sound)
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenFrame(f"a segment's header is not one: {type(error).__name__}") from error


def pack_info(info: MediaInfo) -> bytes:
    """The answer to a probe as one message."""
    return pack({"kind": "info", "info": asdict(info)})


def unpack_info(header: Mapping[str, Any]) -> MediaInfo:
    """The answer to a probe.

    Raises:
        BrokenFrame: it is not one.

    """
    try:
        info = MediaInfo(**header["info"])
    except (KeyError, TypeError) as error:
        raise BrokenFrame(f"an answer to a probe is not one: {type(error).__name__}") from error
    counts = (info.width, info.height, info.unexamined_streams, info.covers)
    if not isinstance(info.seconds, float | int | None) or not all(isinstance(count, int) and count >= 0 for count in counts):
        raise BrokenFrame("an answer to a probe holds what is no number")
    return info
