"""Files that are small and claim, or unfold into, far more than a decoder should spend: each is refused by name, or harmless."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import av
import numpy as np

from hostile_media.case import ANY, DAMAGED, EXAMINED, MARKER, REFUSED, TOO_LARGE, TOO_LONG, Case, Outcome
from hostile_media.sounds import wav
from media_files.films import grey, sounding, with_cover, write
from media_files.pictures import animation, chunk, png, quarters, saved

FAMILY = "bombs"
_BILLION = 10**9
_UNPACKED = 50_000_000
_LARGE = TOO_LARGE | frozenset({Outcome.DAMAGED})
"""Refused before the memory is asked for, or because what is claimed is not there."""


def cases(folder: Path) -> Iterator[Case]:
    large = png(20_000, 20_000, colour=0)
    bomb = zlib.compress(bytes(_UNPACKED), 9)
    groups = (
        _pixels(large, bomb),
        _frames(folder),
        _durations(folder),
        _streams(folder),
        _metadata(folder, large, bomb),
        _nested(),
    )
    for name, data, expect in chain.from_iterable(groups):
        yield Case(FAMILY, name, data, expect)


def _pixels(large: bytes, bomb: bytes) -> Iterator[tuple[str, bytes, frozenset[Outcome]]]:
    yield "png 20000 x 20000", large, TOO_LARGE
    yield "png claims 2^31", png(2**31 - 1, 2**31 - 1, zlib.compress(b"\x00")), TOO_LARGE
    yield "png 8 x 8 of 50 MB", png(8, 8, bomb), ANY
    yield "gif 65535 x 65535", b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + b";", _LARGE
    yield "gif one frame beyond its screen", _gif(8, 8, _gif_frame(60_000, 60_000)), _LARGE
    yield "bmp claims 2^31", _bmp(2**31 - 1, 2**31 - 1), TOO_LARGE
    yield "bmp 30000 x 30000 by run lengths", _bmp(30_000, 30_000, compression=1), TOO_LARGE
    jpeg = bytearray(saved(quarters(), "JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", 65_500, 65_500)
    yield "jpeg claims 65500 x 65500", bytes(jpeg), TOO_LARGE
    yield "webp claims 16384 x 16384", _webp(16_384, 16_384), _LARGE
    yield "tiff claims 2^31", _tiff(2**31, 2**31), TOO_LARGE
    yield "tiff strip of 2^32 bytes", _tiff(64, 64, strip=2**32 - 1), DAMAGED
    avif = bytearray(saved(quarters(), "AVIF"))
    at = avif.index(b"ispe") + 8
    avif[at : at + 8] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    yield "avif claims 2^31", bytes(avif), _LARGE


def _frames(folder: Path) -> Iterator[tuple[str, bytes, frozenset[Outcome]]]:
    yield "gif of 4000 frames", animation("GIF", frames=2, size=(2, 2))[:-1] + _gif_frame(1, 1) * 4_000 + b";", TOO_LARGE
    apng = bytearray(animation("PNG"))
    at = apng.index(b"acTL")
    apng[at : at + 8] = b"acTL" + struct.pack(">I", 2**31 - 1)
    apng[at + 12 : at + 16] = struct.pack(">I", zlib.crc32(bytes(apng[at : at + 12])))
    yield "png claims 2^31 frames", bytes(apng), TOO_LARGE | DAMAGED
    fast = {"fps": 1_000, "size": (16, 16), "picture": lambda t, w, h: grey(w, h, 9), "audio": None, "gop": 500}
    yield "film of 1000 frames a second", write(folder / "fps.mkv", seconds=3.2, **fast).read_bytes(), TOO_LARGE
    still = [k / 10_000_000 for k in range(3_100)]
    mkv = {"size": (16, 16), "picture": lambda t, w, h: grey(w, h, 9), "audio": None}
    yield "film of 3100 frames at one time", write(folder / "one.mkv", times=still, **mkv).read_bytes(), _LARGE


def _durations(folder: Path) -> Iterator[tuple[str, bytes, frozenset[Outcome]]]:
    film = write(folder / "d.mp4", seconds=1, fps=5, rate=16_000, container_options={"movflags": "faststart"}).read_bytes()
    for name, inside in (("mvhd", 16), ("mdhd", 16), ("tkhd", 20)):
        data = bytearray(film)
        at = data.index(name.encode()) + 4 + inside
        data[at : at + 4] = struct.pack(">I", 2**32 - 2)
        yield f"mp4 {name} says 2^32", bytes(data), TOO_LONG | DAMAGED | EXAMINED
    data = bytearray(film)
    at = data.index(b"mvhd") + 16
    data[at : at + 8] = struct.pack(">II", 1, _BILLION)
    yield "mp4 says 10^9 s", bytes(data), TOO_LONG | EXAMINED
    data = bytearray(film)
    at = data.index(b"stts") + 8
    data[at + 4 : at + 8] = struct.pack(">I", 2**31 - 1)
    yield "mp4 frames of 2^31 ticks", bytes(data), ANY | TOO_LONG
    mkv = bytearray(write(folder / "d.mkv", seconds=1, fps=5).read_bytes())
    at = mkv.index(b"\x44\x89") + 3
    mkv[at : at + 8] = struct.pack(">d", _BILLION * 1000.0)
    yield "mkv says 10^9 s", bytes(mkv), TOO_LONG
    for word, number in (("nan", float("nan")), ("inf", float("inf")), ("-1", -1.0), ("1e308", 1e308)):
        mkv[at : at + 8] = struct.pack(">d", number)
        yield f"mkv says {word} s", bytes(mkv), ANY | TOO_LONG
    flac = bytearray(write(folder / "d.flac", seconds=1, video=None, audio="flac").read_bytes())
    flac[21] |= 0x0F
    flac[22:26] = b"\xff" * 4
    yield "flac says 2^36 samples", bytes(flac), TOO_LONG
    yield "wav claims 4 GB", wav(channels=1, samples=8_000, claimed=0xFFFFFF00), EXAMINED
    yield "wav claims 1 GB", wav(channels=1, samples=8_000, claimed=1 << 30), TOO_LONG | DAMAGED
    yield "gif frames of 655 s", animation("GIF", frames=12, milliseconds=655_350), TOO_LONG
    yield "sound of three hours", _compressed_hours(folder), TOO_LONG


def _compressed_hours(folder: Path) -> bytes:
    """Silence is small as FLAC."""
    quiet = np.zeros((1, 8_000 * 3 * 3_600), np.int16)
    data = bytearray(sounding(folder / "hours.flac", quiet[:, :8_000], layout="mono", codec="flac", rate=8_000).read_bytes())
    total = quiet.shape[1]
    data[21] = data[21] & 0xF0 | total >> 32
    data[22:26] = struct.pack(">I", total & 0xFFFFFFFF)
    return bytes(data)


def _streams(folder: Path) -> Iterator[tuple[str, bytes, frozenset[Outcome]]]:
    for suffix, count in (("mp4", 200), ("mkv", 120), ("ts", 100), ("avi", 60), ("ogg", 60)):
        path = folder / f"many.{suffix}"
        with av.open(str(path), "w") as out:
            codec = {"avi": "pcm_s16le", "ogg": "flac"}.get(suffix, "mp2")
            tracks = [out.add_stream(codec, rate=16_000, layout="mono") for _ in range(count)]
            for track in tracks:
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 1_152), np.int16), format="s16", layout="mono")
                frame.sample_rate, frame.pts = 16_000, 0
                out.mux(track.encode(frame))
                out.mux(track.encode(None))
        yield f"{suffix} of {count} tracks", path.read_bytes(), TOO_LARGE


def _metadata(folder: Path, large: bytes, bomb: bytes) -> Iterator[tuple[str, bytes, frozenset[Outcome]]]:
    words = MARKER.encode()
    yield "png text of 50 MB", png(8, 8, chunks=chunk(b"zTXt", b"k\x00\x00" + bomb)), TOO_LARGE
    yield "png itxt of 50 MB", png(8, 8, chunks=chunk(b"iTXt", words + b"\x00\x01\x00\x00\x00" + bomb)), TOO_LARGE
    yield "png icc of 50 MB", png(8, 8, chunks=chunk(b"iCCP", b"k\x00\x00" + bomb)), TOO_LARGE
    yield "png of 20000 texts", png(8, 8, chunks=chunk(b"tEXt", b"k\x00" + words) * 20_000), ANY
    still = saved(quarters(), "JPEG")
    for name, exif in _exifs():
        yield f"jpeg exif {name}", _app1(still, b"Exif\x00\x00" + exif), EXAMINED
    yield (
        "jpeg of 3000 comments",
        still[:2] + (b"\xff\xfe" + struct.pack(">H", 66) + words.ljust(64)) * 3_000 + still[2:],
        EXAMINED,
    )
    yield "jpeg icc of no profile", saved(quarters(), "JPEG", icc_profile=bytes(400_000)), EXAMINED
    yield "jpeg icc chunks out of order", _icc_chunks(still), EXAMINED
    sound = write(folder / "m.mp3", seconds=1, video=None, audio="libmp3lame").read_bytes()
    yield "mp3 tag of 2 MB", _id3(_id3_frame(b"TIT2", words * 100_000)) + sound, EXAMINED
    yield "mp3 tag says 256 MB", b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + sound, ANY
    yield "mp3 of 200 tags", _id3(_id3_frame(b"TIT2", words)) * 200 + sound, ANY
    yield "mp3 compressed tag", _id3(_id3_frame(b"TXXX", struct.pack(">I", 2**31 - 1) + bomb, flags=0x000A)) + sound, EXAMINED
    cover = b"\x00image/png\x00\x03\x00" + large
    yield "mp3 cover of 20000 x 20000", _id3(_id3_frame(b"APIC", cover)) + sound, TOO_LARGE
    yield "m4a cover that is none", with_cover(folder / "c.m4a", b"\xff\xd8\xff" + bytes(300)).read_bytes(), DAMAGED
    yield "mkv cover of 20000 x 20000", with_cover(folder / "c.mkv", large).read_bytes(), TOO_LARGE
    film = write(folder / "u.mp4", seconds=1, fps=5).read_bytes()
    yield "mp4 udta of 4 MB", film + _box(b"udta", _box(b"\xa9nam", words * 200_000)), EXAMINED
    yield "mp4 of 50000 free boxes", film[:32] + _box(b"free", b"") * 50_000 + film[32:], ANY


def _exifs() -> Iterator[tuple[str, bytes]]:
    def directory(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
        packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
        return b"II*\x00" + struct.pack("<IH", 8, len(entries)) + packed + struct.pack("<I", following)

    yield "in a circle", directory((0x8769, 4, 1, 8), following=8)
    yield "of 2^32 values", directory((0x0112, 3, 2**32 - 1, 8))
    yield "beyond its end", directory((0x8825, 4, 1, 2**31), (0x0112, 3, 1, 99))
    yield "of 60000 entries", b"II*\x00" + struct.pack("<IH", 8, 60_000)
    yield "that is noise", bytes(range(256)) * 4
    yield "that is empty", b""


def _nested() -> Iterator[tuple[str, bytes, frozenset[Outcome]]]:
    head = _box(b"ftyp", b"isom\x00\x00\x02\x00isommp41")
    inner = b""
    for _ in range(2_500):
        inner = _box(b"moov", inner)
    yield "mp4 of nested boxes", head + inner, REFUSED
    packed = zlib.compress(bytes(_UNPACKED), 9)
    moov = _box(b"cmov", _box(b"dcom", b"zlib") + _box(b"cmvd", struct.pack(">I", _UNPACKED) + packed))
    yield "mov header of 50 MB packed", head + _box(b"moov", moov), REFUSED
    liar = _box(b"cmov", _box(b"dcom", b"zlib") + _box(b"cmvd", struct.pack(">I", 2**31 - 1) + packed[:500]))
    yield "mov header claims 2 GB packed", head + _box(b"moov", liar), REFUSED | TOO_LARGE
    deep = b""
    for _ in range(5_000):
        deep = b"\x08\x00" + deep  # an unknown element of no size
    yield "mkv of nothing", b"\x1aE\xdf\xa3\x9fB\x82\x88matroska" + b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + deep, REFUSED


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def _gif(width: int, height: int, frames: bytes) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + frames + b";"


def _gif_frame(width: int, height: int) -> bytes:
    return b"!\xf9\x04\x00\x01\x00\x00\x00" + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00"


def _bmp(width: int, height: int, compression: int = 0) -> bytes:
    bits = 8 if compression else 24
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", 90, 0, 54, 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0) + bytes(40)


def _webp(width: int, height: int) -> bytes:
    size = (width - 1) | (height - 1) << 14
    body = b"WEBPVP8L" + struct.pack("<IB", 10, 0x2F) + struct.pack("<I", size) + bytes(5)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _tiff(width: int, height: int, strip: int = 64) -> bytes:
    tags = ((256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, height), (279, strip))
    packed = b"".join(struct.pack("<HHII", tag, 4, 1, value & 0xFFFFFFFF) for tag, value in tags)
    return b"II*\x00" + struct.pack("<IH", 8, len(tags)) + packed + bytes(4)


def _app1(still: bytes, body: bytes) -> bytes:
    return still[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + still[2:]


def _icc_chunks(still: bytes) -> bytes:
    parts = b"".join(b"\xff\xe2" + struct.pack(">H", 66) + b"ICC_PROFILE\x00" + bytes((n, 3)) + bytes(50) for n in (9, 0, 9, 200))
    return still[:2] + parts + still[2:]


def _id3(frames: bytes) -> bytes:
    size = bytes(len(frames) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00\x00" + size + frames


def _id3_frame(name: bytes, body: bytes, flags: int = 0) -> bytes:
    body = body if name in (b"APIC", b"TXXX") else b"\x03" + body
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return name + size + struct.pack(">H", flags) + body
