"""A file's media type from its first bytes, for the formats that are decoded here."""

from __future__ import annotations

from omniguard.domain.content import Modality

HEAD_BYTES = 4096
"""How much of a file `sniff` looks at."""

_EITHER = frozenset({Modality.VIDEO, Modality.AUDIO})
_CARRIES: dict[str, frozenset[Modality]] = {
    **dict.fromkeys(
        ("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp", "image/tiff", "image/avif", "image/heic"),
        frozenset({Modality.IMAGE}),
    ),
    **dict.fromkeys(("audio/mpeg", "audio/wav", "audio/flac", "audio/aac"), frozenset({Modality.AUDIO})),
    # These containers hold video, or sound alone: only decoding tells.
    **dict.fromkeys(("audio/ogg", "audio/mp4"), frozenset({Modality.AUDIO})),
    **dict.fromkeys(
        ("video/mp4", "video/quicktime", "video/webm", "video/matroska", "video/ogg", "video/mp2t", "video/x-msvideo"), _EITHER
    ),
}
MEDIA_TYPES = frozenset(_CARRIES)
"""Every answer `sniff` can give."""

_PREFIXES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"fLaC", "audio/flac"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_TS_PACKET = 188


def modality_of(media_type: str) -> Modality | None:
    """The modality that a media type stands for; a container that may hold either counts as video. None if unknown."""
    kinds = carries(media_type)
    return Modality.VIDEO if Modality.VIDEO in kinds else next(iter(kinds), None)


def carries(media_type: str) -> frozenset[Modality]:
    """Every modality that a file of this type may hold: a WebM may be sound alone. Empty if unknown."""
    return _CARRIES.get(media_type, frozenset())


def sniff(head: bytes) -> str | None:
    """Media type by the first bytes (`HEAD_BYTES` of them, or the whole file), or None if it is not one we decode."""
    for prefix, media_type in _PREFIXES:
        if head.startswith(prefix):
            return media_type
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "image/bmp"
    if head[:4] == b"OggS":
        return _ogg(head)
    if head[:4] == b"\x1aE\xdf\xa3":
        return _ebml(head)
    return _iso(head) or _mpegts(head) or _mpeg_audio(head)


def _ogg(head: bytes) -> str:
    """By the first packet's codec."""
    return "video/ogg" if b"\x80theora" in head[:256] else "audio/ogg"


def _ebml(head: bytes) -> str | None:
    """By the DocType element (0x4282) of the EBML header."""
    at = head.find(b"\x42\x82", 0, 128)
    doctype = head[at + 3 : at + 3 + (head[at + 2] & 0x7F)] if 0 <= at < len(head) - 3 else b""
    return {b"webm": "video/webm", b"matroska": "video/matroska"}.get(doctype.rstrip(b"\x00"))


def _iso(head: bytes) -> str | None:
    """ISO base media by its brands; QuickTime files of old have none."""
    kind, size = head[4:8], int.from_bytes(head[:4], "big")
    if kind in (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot") and size >= 8:
        return "video/quicktime"
    if kind != b"ftyp":
        return None
    brand = head[8:12]
    brands = {brand, *(head[at : at + 4] for at in range(16, min(size, len(head)), 4))}
    if brands & {b"avif", b"avis"}:
        return "image/avif"
    if brand in _HEIF_BRANDS:
        return "image/heic"
    if brand in (b"M4A ", b"M4B ", b"M4P "):
        return "audio/mp4"
    return "video/quicktime" if brand == b"qt  " else "video/mp4"


def _mpegts(head: bytes) -> str | None:
    """By the sync byte at the begin of five packets in a row (of as many as the head holds, two at least)."""
    for packet, first in ((_TS_PACKET, 0), (_TS_PACKET + 4, 4)):
        syncs = head[first : first + 5 * packet : packet]
        if len(syncs) >= 2 and set(syncs) == {0x47}:
            return "video/mp2t"
    return None


def _mpeg_audio(head: bytes) -> str | None:
    """An MPEG audio or ADTS frame header, after ID3 tags if there are some."""
    at = 0
    while head[at : at + 3] == b"ID3" and len(head) >= at + 10:
        a, b, c, d = head[at + 6 : at + 10]
        at += 10 + (a << 21 | b << 14 | c << 7 | d)
        if at + 2 > len(head):
            return "audio/mpeg"  # a tag holds a cover picture; the frames lie beyond what we see
    frame = head[at : at + 4]
    if len(frame) < 4 or frame[0] != 0xFF or frame[1] & 0xE0 != 0xE0:
        return None
    layer, version = frame[1] >> 1 & 3, frame[1] >> 3 & 3
    if layer == 0:
        return "audio/aac" if frame[1] & 0xF0 == 0xF0 and frame[2] >> 2 & 15 < 13 else None
    valid = version != 1 and frame[2] >> 4 not in (0, 15) and frame[2] >> 2 & 3 != 3
    return "audio/mpeg" if valid else None
