"""Time stamps that no camera writes: negative, going back, wrapping, with gaps, cut by edit lists, badly interleaved."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av

from hostile_media.case import ANY, EXAMINED, TOO_LARGE, TOO_LONG, Case, Outcome
from media_files.films import write

FAMILY = "times"
_SECONDS = 3.0
_SMALL = {"seconds": _SECONDS, "fps": 10, "gop": 10, "rate": 16_000}
_EVEN_LONG = ANY | TOO_LONG | TOO_LARGE
_CLOCK = 90_000


def cases(folder: Path) -> Iterator[Case]:
    for name, data, expect, seconds in (
        *_stamps(folder),
        *_transport(folder),
        *_edits(folder),
        *_boxes(folder),
        *_orders(folder),
    ):
        yield Case(FAMILY, name, data, expect, seconds)


_Timed = Iterator[tuple[str, bytes, frozenset[Outcome], float | None]]
_Change = Callable[[int, int], int]


def _stamps(folder: Path) -> _Timed:
    """Of every packet anew, by its number and its time in 90 kHz."""
    changes: dict[str, tuple[_Change, frozenset[Outcome], float | None]] = {
        "an hour before zero": (lambda n, t: t - 3_600 * _CLOCK, EXAMINED, _SECONDS),
        "an hour after zero": (lambda n, t: t + 3_600 * _CLOCK, EXAMINED, _SECONDS),
        "all at once": (lambda n, t: n, ANY, None),
        "a gap of a minute": (lambda n, t: t + (60 * _CLOCK if t > _CLOCK else 0), EXAMINED, _SECONDS + 60),
        "a gap of a day": (lambda n, t: t + (86_400 * _CLOCK if t > _CLOCK else 0), _EVEN_LONG, None),
        "back by half a second": (lambda n, t: t - (_CLOCK // 2 if t > _CLOCK else 0), ANY, None),
        "back to the begin": (lambda n, t: t % _CLOCK, ANY, None),
        "to and fro": (lambda n, t: t + (-1) ** n * 2 * _CLOCK, _EVEN_LONG, None),
        "backwards": (lambda n, t: 10 * _CLOCK - t, ANY, None),
    }
    for suffix in ("mkv", "ts"):
        source = write(folder / "stamps.mkv", **_SMALL)
        for name, (change, expect, seconds) in changes.items():
            path = folder / f"stamped.{suffix}"
            if _stamped(source, path, change):
                yield (
                    f"{suffix} {name}",
                    path.read_bytes(),
                    expect | (ANY if suffix == "ts" else frozenset()),
                    None if suffix == "ts" else seconds,
                )


def _stamped(source: Path, path: Path, change: _Change) -> bool:
    """False where the container's writer refuses such times."""
    with av.open(str(source)) as film, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as out:
        tracks = {track.index: out.add_stream_from_template(track) for track in film.streams}
        for number, packet in enumerate(film.demux()):
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            pts, dts = (change(number, round(each * packet.time_base * _CLOCK)) for each in (packet.pts, packet.dts))
            packet.stream, packet.time_base = tracks[packet.stream.index], Fraction(1, _CLOCK)
            packet.pts, packet.dts = max(pts, dts), dts
            try:
                out.mux(packet)
            except av.error.FFmpegError:
                continue
    return path.stat().st_size > 2_000


def _transport(folder: Path) -> _Timed:
    """The clock of a transport stream has 33 bits: a day and two hours, then it begins anew."""
    near = (1 << 33) / _CLOCK - 1.5
    source = write(folder / "wrap.mkv", **_SMALL)
    _stamped(source, folder / "wrap.ts", lambda n, t: t + round(near * _CLOCK))
    data = (folder / "wrap.ts").read_bytes()
    yield "ts whose clock wraps", data, EXAMINED, None
    plain = write(folder / "plain.ts", **_SMALL).read_bytes()
    yield "ts from the middle of a packet", plain[100:], ANY, None
    yield "ts two films after each other", plain + plain, EXAMINED, None
    yield (
        "ts every third packet lost",
        b"".join(plain[at : at + 188] for at in range(0, len(plain), 188) if at // 188 % 3),
        ANY,
        None,
    )
    yield "ts without its tables", b"".join(plain[at : at + 188] for at in range(3 * 188, len(plain), 188)), ANY, None
    swapped = [plain[at : at + 188] for at in range(0, len(plain), 188)]
    yield "ts in reverse order", b"".join(reversed(swapped)), ANY, None


def _edits(folder: Path) -> _Timed:
    film = write(folder / "edit.mp4", **_SMALL, container_options={"movflags": "faststart"}).read_bytes()
    at = film.index(b"elst") + 12
    for name, entry in {
        "is all": (3_000, -1, 1 << 16),
        "begins late": (1_000, 12_800, 1 << 16),
        "begins behind the end": (1_000, 2**31 - 1, 1 << 16),
        "begins before zero": (1_000, -5_000, 1 << 16),
        "lasts 2^32": (2**32 - 1, 0, 1 << 16),
        "has no length": (0, 0, 1 << 16),
        "stands still": (3_000, 0, 0),
        "runs backwards": (3_000, 0, -(1 << 16)),
    }.items():
        data = bytearray(film)
        data[at : at + 12] = struct.pack(">Iii", *entry)
        yield f"edit that {name}", bytes(data), _EVEN_LONG, None
    data = bytearray(film)
    data[at - 4 : at] = struct.pack(">I", 2**32 - 1)
    yield "edits claimed 2^32 times", bytes(data), ANY, None


def _boxes(folder: Path) -> _Timed:
    reordered = {"preset": "veryfast"}
    film = write(folder / "box.mp4", **_SMALL, options=reordered, container_options={"movflags": "faststart"}).read_bytes()
    for name, inside in (("mvhd", 12), ("mdhd", 12)):
        at = film.index(name.encode()) + 4 + inside
        for scale in (0, 1, 2**31, 2**32 - 1):
            data = bytearray(film)
            data[at : at + 4] = struct.pack(">I", scale)
            yield f"{name} of {scale} ticks a second", bytes(data), _EVEN_LONG, None
    for table in ("stts", "ctts", "stss", "stsc", "stsz", "stco"):
        at = film.index(table.encode()) + 8
        at += 4 if table == "stsz" else 0
        for count in (0, 2**31 - 1, 2**32 - 1):
            data = bytearray(film)
            data[at : at + 4] = struct.pack(">I", count)
            yield f"{table} of {count} entries", bytes(data), _EVEN_LONG, None
        data = bytearray(film)
        data[at + 4 : at + 12] = b"\xff" * 8
        yield f"{table} that points nowhere", bytes(data), _EVEN_LONG, None
    for name in ("moov", "mdat", "stsd", "hdlr", "avcC", "esds"):
        at = film.index(name.encode())
        yield f"mp4 without {name}", film[:at] + b"skip" + film[at + 4 :], ANY, None


def _orders(folder: Path) -> _Timed:
    for suffix in ("mkv", "mp4", "avi"):
        how = {"video": "mpeg4", "audio": "libmp3lame"} if suffix == "avi" else {}
        source = write(folder / f"order.{suffix}", **{**_SMALL, **how})
        for name in ("pictures first", "sound first", "by turns of a second"):
            made = folder / f"ordered.{suffix}"
            _ordered(source, made, name)
            yield f"{suffix} with {name}", made.read_bytes(), EXAMINED, _SECONDS
    twice = write(folder / "t.webm", seconds=2, fps=5, video="libvpx", audio="libopus").read_bytes()
    yield "webm two films after each other", twice + twice, ANY, None
    ogg = write(folder / "t.ogg", seconds=2, video=None, audio="libopus").read_bytes()
    yield "ogg two songs after each other", ogg + ogg, EXAMINED, None
    mp3 = write(folder / "t.mp3", seconds=2, video=None, audio="libmp3lame").read_bytes()
    yield "mp3 two songs after each other", mp3 + mp3, EXAMINED, None


def _ordered(source: Path, path: Path, order: str) -> None:
    kinds = {"pictures first": ("video", "audio"), "sound first": ("audio", "video")}.get(order)
    with av.open(str(source)) as film:
        packets = [packet for packet in film.demux() if packet.dts is not None]

        def place(packet: av.Packet) -> tuple[float, int]:
            if kinds is not None:
                return kinds.index(packet.stream.type), 0
            return int(packet.dts * packet.time_base), packet.stream.index

        with av.open(str(path), "w", options={"max_interleave_delta": "0", "flush_packets": "1"}) as out:
            tracks = {track.index: out.add_stream_from_template(track) for track in film.streams}
            for packet in sorted(packets, key=place):
                packet.stream = tracks[packet.stream.index]
                out.mux(packet)
