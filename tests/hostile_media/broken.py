"""Files that are not what they begin as: wrong heads, sizes that lie, noise, tags that are no text."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

import av

from hostile_media import elements
from hostile_media.case import ANY, EXAMINED, MARKER, TOO_LARGE, TOO_LONG, UNSUPPORTED, Case
from media_files.films import write
from media_files.pictures import animation, quarters, saved

FAMILY = "broken"
_WHATEVER = ANY | TOO_LARGE | TOO_LONG
_SMALL = {"seconds": 2.0, "fps": 10, "gop": 10, "rate": 16_000}
_MAGIC = {
    "jpeg": b"\xff\xd8\xff",
    "jpeg with a frame": b"\xff\xd8\xff\xc0\x00\x11\x08",
    "png": b"\x89PNG\r\n\x1a\n",
    "gif": b"GIF89a",
    "tiff": b"II*\x00",
    "bmp": b"BM\x00\x00\x00\x00\x00\x00\x00\x00",
    "webp": b"RIFF\xff\x00\x00\x00WEBPVP8 ",
    "wav": b"RIFF\xff\x00\x00\x00WAVEfmt ",
    "avi": b"RIFF\xff\xff\xff\xffAVI LIST",
    "mp4": b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41",
    "avif": b"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00avifmif1",
    "heic": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic",
    "mov": b"\x00\x00\x00\x08wide\x00\x00\x00\x20mdat",
    "webm": b"\x1aE\xdf\xa3\x9fB\x82\x84webm",
    "matroska": b"\x1aE\xdf\xa3\xa3B\x82\x88matroska",
    "ogg": b"OggS\x00\x02",
    "flac": b"fLaC\x00\x00\x00\x22",
    "mp3": b"\xff\xfb\x90\x00",
    "mp3 with a tag": b"ID3\x04\x00\x00\x00\x00\x00\x00\xff\xfb\x90\x00",
    "aac": b"\xff\xf1\x50\x80",
    "ts": b"G",
}
_FOREIGN = {
    "empty": b"",
    "one byte": b"\xff",
    "zeros": bytes(10_000),
    "text": b"this is not a picture" * 50,
    "elf": b"\x7fELF" + bytes(200),
    "zip": b"PK\x03\x04" + bytes(200),
    "gzip": b"\x1f\x8b\x08" + bytes(200),
    "pdf": b"%PDF-1.7\n" + bytes(200),
    "psd": b"8BPS\x00\x01" + bytes(200),
    "ico": b"\x00\x00\x01\x00\x01\x00" + bytes(200),
    "flv": b"FLV\x01\x05\x00\x00\x00\x09" + bytes(200),
    "asf": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(200),
    "jpeg 2000": b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(200),
    "jpeg xl": b"\xff\x0a" + bytes(200),
    "midi": b"MThd\x00\x00\x00\x06" + bytes(200),
    "amr": b"#!AMR\n" + bytes(200),
    "swf": b"FWS\x09" + bytes(200),
    "sqlite": b"SQLite format 3\x00" + bytes(200),
    "rar": b"Rar!\x1a\x07\x00" + bytes(200),
    "dds": b"DDS " + bytes(200),
}


def cases(folder: Path) -> Iterator[Case]:
    for name, data in _FOREIGN.items():
        yield Case(FAMILY, name, data, UNSUPPORTED)
    noise = random.Random(1).randbytes(3_000)
    for name, head in _MAGIC.items():
        for what, body in (
            ("zeros", bytes(3_000)),
            ("noise", noise),
            ("ones", b"\xff" * 3_000),
            ("itself", head * (3_000 // len(head))),
        ):
            yield Case(FAMILY, f"{name} of {what}", head + body, _WHATEVER - EXAMINED)
    yield from _swapped()
    yield from _lying(folder)
    yield from _noisy(folder)
    for name, data in _tags(folder):
        yield Case(FAMILY, name, data, EXAMINED, 1.0)


def _swapped() -> Iterator[Case]:
    stills = {kind: saved(quarters(), kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF")}
    for head, other in (
        ("JPEG", "PNG"),
        ("PNG", "JPEG"),
        ("GIF", "WEBP"),
        ("WEBP", "GIF"),
        ("BMP", "TIFF"),
        ("TIFF", "BMP"),
        ("AVIF", "PNG"),
    ):
        yield Case(FAMILY, f"{other} under a head of {head}", stills[head][:16] + stills[other], _WHATEVER - EXAMINED)


def _lying(folder: Path) -> Iterator[Case]:
    """Every element in turn says that it is of no size, or larger than the file."""
    films = {
        "mp4": (
            write(folder / "x.mp4", **_SMALL, container_options={"movflags": "faststart"}).read_bytes(),
            elements.boxes,
            ">I",
            0,
        ),
        "avi": (
            write(folder / "x.avi", **{**_SMALL, "video": "mpeg4", "audio": "libmp3lame"}).read_bytes(),
            elements.riff,
            "<I",
            4,
        ),
        "wav": (write(folder / "x.wav", **{**_SMALL, "video": None}, audio="pcm_s16le").read_bytes(), elements.riff, "<I", 4),
        "PNG": (animation("PNG", frames=3), elements.png, ">I", 0),
        "WEBP": (animation("WEBP", frames=3), elements.riff, "<I", 4),
        "JPEG": (saved(quarters(), "JPEG"), elements.jpeg, ">H", 2),
        "AVIF": (saved(quarters(), "AVIF"), elements.boxes, ">I", 0),
    }
    for kind, (data, places, form, inside) in films.items():
        most = 2 ** (8 * struct.calcsize(form)) - 1
        for at in elements.cuts(data, places(data), 10_000)[:: 2 if kind == "mp4" else 4][:24]:
            for size in (0, most // 2, most):
                lying = bytearray(data)
                lying[at + inside : at + inside + struct.calcsize(form)] = struct.pack(form, size)
                yield Case(FAMILY, f"{kind} size {size} at {at}", bytes(lying[: len(data)]), _WHATEVER)


def _noisy(folder: Path) -> Iterator[Case]:
    """A byte in so many is another."""
    whole = {
        "mp4": write(folder / "n.mp4", **_SMALL, container_options={"movflags": "faststart"}).read_bytes(),
        "mkv": write(folder / "n.mkv", **_SMALL).read_bytes(),
        "webm": write(folder / "n.webm", seconds=2, fps=10, video="libvpx", audio="libopus").read_bytes(),
        "ts": write(folder / "n.ts", **_SMALL).read_bytes(),
        "mp3": write(folder / "n.mp3", seconds=2, video=None, audio="libmp3lame").read_bytes(),
        "ogg": write(folder / "n.ogg", seconds=2, video=None, audio="libopus").read_bytes(),
        "flac": write(folder / "n.flac", seconds=2, video=None, audio="flac").read_bytes(),
        **{kind: saved(quarters(96, 64).rotate(7), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")},
    }
    for kind, data in whole.items():
        for seed, share in ((1, 20), (2, 200), (3, 2_000)):
            chance, changed = random.Random(seed), bytearray(data)
            for _ in range(max(1, len(data) // share)):
                changed[chance.randrange(len(data) // 50 or 1, len(data))] = chance.randrange(256)
            yield Case(FAMILY, f"{kind} with one byte in {share} changed", bytes(changed), _WHATEVER)


def _tags(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Texts that are no UTF-8, in the place of texts that are."""
    odd = (b"\xff\xfe\xc0\xaf\xed\xa0\x80\x00" * 4)[: len(MARKER)]
    for suffix, how in {
        "mp4": {},
        "mkv": {},
        "webm": {"video": "libvpx", "audio": "libopus"},
        "mp3": {"video": None, "audio": "libmp3lame"},
        "ogg": {"video": None, "audio": "libopus"},
        "flac": {"video": None, "audio": "flac"},
        "avi": {"video": "mpeg4", "audio": "libmp3lame"},
        "wav": {"video": None, "audio": "pcm_s16le"},
        "ts": {},
    }.items():
        source, path = write(folder / f"t.{suffix}", seconds=1, fps=5, **how), folder / f"tagged.{suffix}"
        with av.open(str(source)) as film, av.open(str(path), "w") as out:
            out.metadata.update(title=MARKER, comment=MARKER, artist=MARKER)
            tracks = {track.index: out.add_stream_from_template(track) for track in film.streams}
            for packet in film.demux():
                if packet.dts is not None:
                    packet.stream = tracks[packet.stream.index]
                    out.mux(packet)
        tagged = path.read_bytes()
        yield f"{suffix} with tags", tagged
        if suffix != "ogg":  # whose pages have a checksum
            yield f"{suffix} with tags that are no text", tagged.replace(MARKER.encode(), odd)
