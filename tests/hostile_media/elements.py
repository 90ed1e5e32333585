"""Where the elements of each format begin: boxes, chunks, markers, pages, blocks, frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

_BOXES = frozenset({b"moov", b"trak", b"edts", b"mdia", b"minf", b"dinf", b"stbl", b"udta", b"moof", b"traf", b"mvex", b"mfra"})
_META = frozenset({b"meta"})
_MASTERS = frozenset(
    bytes.fromhex(each)
    for each in ("1a45dfa3", "18538067", "114d9b74", "1549a966", "1654ae6b", "ae", "e0", "e1", "1f43b675", "1c53bb6b", "1254c367")
)


def boxes(data: bytes, begin: int = 0, end: int | None = None) -> Iterator[int]:
    """ISO base media."""
    at, end = begin, len(data) if end is None else end
    while at + 8 <= end:
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        size = size if size >= 8 else end - at
        yield at
        if name in _BOXES | _META:
            yield from boxes(data, at + (12 if name in _META else 8), min(end, at + size))
        at += size


def ebml(data: bytes, begin: int = 0, end: int | None = None) -> Iterator[int]:
    """Matroska and WebM."""
    at, end = begin, len(data) if end is None else end
    while at < end and data[at]:
        head = 9 - data[at].bit_length()
        wide = 9 - data[at + head].bit_length()
        size = int.from_bytes(data[at + head : at + head + wide], "big") & ((1 << 7 * wide) - 1)
        body = at + head + wide
        size = end - body if size == (1 << 7 * wide) - 1 else size
        yield at
        if data[at : at + head] in _MASTERS:
            yield from ebml(data, body, min(end, body + size))
        at = body + size


def png(data: bytes) -> Iterator[int]:
    """PNG chunks."""
    at = 8
    while at + 8 <= len(data):
        yield at
        at += 12 + int.from_bytes(data[at : at + 4], "big")


def jpeg(data: bytes) -> Iterator[int]:
    """JPEG markers."""
    at = 0
    while 0 <= at < len(data) - 1:
        yield at
        if data[at + 1] in (0xD8, 0xD9, *range(0xD0, 0xD8)):
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        while at < len(data) - 1 and not (data[at] == 0xFF and data[at + 1] not in (0, 0xFF)):
            at += 1


def riff(data: bytes, begin: int = 12, end: int | None = None) -> Iterator[int]:
    """RIFF: WAV, AVI, WebP."""
    at, end = begin, len(data) if end is None else end
    while at + 8 <= end:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield at
        if data[at : at + 4] == b"LIST":
            yield from riff(data, at + 12, min(end, at + 8 + size))
        at += 8 + size + size % 2


def found(sync: bytes) -> Callable[[bytes], Iterator[int]]:
    """By a word that every element begins with."""

    def places(data: bytes) -> Iterator[int]:
        at = data.find(sync)
        while at >= 0:
            yield at
            at = data.find(sync, at + 1)

    return places


def flac(data: bytes) -> Iterator[int]:
    """FLAC metadata blocks, then frames by their sync code."""
    at, last = 4, False
    while not last:
        yield at
        last, at = data[at] >= 0x80, at + 4 + int.from_bytes(data[at + 1 : at + 4], "big")
    yield from (place for place in found(b"\xff\xf8")(data) if place >= at)


def gif(data: bytes) -> Iterator[int]:
    """GIF blocks."""
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    while at < len(data) and data[at] in (0x21, 0x2C):
        yield at
        if data[at] == 0x2C:
            at += 11 + (3 << (data[at + 9] & 7) + 1 if data[at + 9] & 0x80 else 0)
        else:
            at += 2
        while data[at]:
            at += 1 + data[at]
        at += 1
    yield at


def transport(data: bytes) -> Iterator[int]:
    """Packets of an MPEG transport stream."""
    yield from range(0, len(data), 188)


def tiff(data: bytes) -> Iterator[int]:
    """The directory's entries; it lies behind the strips."""
    yield from (4, 8)
    at = int.from_bytes(data[4:8], "little")
    yield from range(at, at + 2 + 12 * int.from_bytes(data[at : at + 2], "little") + 1, 12)


def fixed(data: bytes) -> Iterator[int]:
    """A header of fields of two bytes, then rows of picture."""
    yield from range(0, 54, 2)
    yield from range(54, len(data), max(1, (len(data) - 54) // 8))


def cuts(data: bytes, places: Iterator[int], most: int) -> list[int]:
    """Where to cut: at the begin of elements and in their midst; at most so many, evenly chosen, both ends kept."""
    begins = sorted({place for place in places if place < len(data)})
    inside = [(a + b) // 2 for a, b in pairwise([*begins, len(data)])]
    every = sorted({*begins, *inside} - {0})
    if len(every) <= most:
        return every
    return [every[round(i * (len(every) - 1) / (most - 1))] for i in range(most)]
