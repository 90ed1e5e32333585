"""Whether a file is all there, by the sizes that its own outermost elements state."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

__all__ = ["missing_bytes"]

_BOXES = frozenset(
    (b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"mfra", b"sidx", b"ssix", b"free", b"skip", b"wide", b"uuid", b"meta")
)
_MOST_ELEMENTS = 100_000
"""A film of two hours in fragments of a second has a quarter of that; a file of nothing else is not worth the reading."""
_SEGMENT = b"\x18\x53\x80\x67"
_NOT_KNOWN = 0x7FFF_F000
"""From here on a RIFF size says that its writer could not go back and fill it in; so does 0."""


def missing_bytes(path: Path, media_type: str) -> int:
    """How many bytes the file ends before the end that it states; 0 where it is whole, or does not state one.

    What stands behind the last element of the format counts for nothing.

    Raises:
        OSError: the file cannot be read.

    """
    look = _LOOKS.get(media_type)
    if look is None:
        return 0
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return max(0, look(file, size) - size)


def _iso(file: BinaryIO, size: int) -> int:
    at = 0
    for _ in range(_MOST_ELEMENTS):
        file.seek(at)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if kind not in _BOXES or length < 8:  # 0: to the end of the file
            return 0
        at += length
        if at >= size:
            return at
    return 0


def _ebml(file: BinaryIO, size: int) -> int:
    at = 0
    while at < min(size, 4_096):
        file.seek(at)
        head = file.read(12)
        kind, (length, wide) = head[:4], _vint(head[4:])
        if kind == _SEGMENT:
            return 0 if length is None else at + 4 + wide + length
        if length is None:
            return 0
        at += 4 + wide + length
    return 0


def _vint(data: bytes) -> tuple[int | None, int]:
    """A size and how many bytes it takes; None where it is not known."""
    if not data or not data[0]:
        return None, 1
    wide = 9 - data[0].bit_length()
    value, most = int.from_bytes(data[:wide], "big") & ((1 << 7 * wide) - 1), (1 << 7 * wide) - 1
    return (None if value == most or len(data) < wide else value), wide


def _avi(file: BinaryIO, size: int) -> int:
    del size
    length = int.from_bytes(file.read(8)[4:], "little")
    return 8 + length if length < _NOT_KNOWN else 0


def _wav(file: BinaryIO, size: int) -> int:
    at = 12
    for _ in range(_MOST_ELEMENTS):
        file.seek(at)
        head = file.read(8)
        length = int.from_bytes(head[4:], "little")
        if len(head) < 8 or at >= size:
            return 0
        if head[:4] == b"data":
            return at + 8 + length if length < _NOT_KNOWN else 0
        at += 8 + length + length % 2
    return 0


_LOOKS: dict[str, Callable[[BinaryIO, int], int]] = {
    **dict.fromkeys(("video/mp4", "audio/mp4", "video/quicktime"), _iso),
    **dict.fromkeys(("video/webm", "video/matroska"), _ebml),
    "video/x-msvideo": _avi,
    "audio/wav": _wav,
}
