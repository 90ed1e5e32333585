"""Files that are odd and right: every one of them must be examined, to its end, or refused for what is said here."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorTrc
from PIL import Image

from hostile_media.case import ANY, DAMAGED, EXAMINED, TOO_LARGE, UNSUPPORTED, Case, Outcome
from hostile_media.sounds import wav
from media_files.films import sounding, write
from media_files.pictures import animation, png, quarters, saved

FAMILY = "odd"
_SHORT = {"seconds": 1.0, "fps": 5, "audio": None}
_FORMATS = {
    ("libx264", "mkv"): ("yuv444p", "yuv422p", "gray", "yuv420p10le", "yuv444p10le", "yuvj420p", "nv12"),
    ("libx264rgb", "mkv"): ("rgb24", "bgr0"),
    ("ffv1", "mkv"): ("yuv411p", "yuv410p", "yuv440p", "gray16le", "yuv420p16le", "bgra", "gbrp10le", "gbrp16le", "yuva420p"),
    ("rawvideo", "avi"): ("rgb555le", "yuyv422", "gray", "monow", "bgr24"),
    ("rawvideo", "mov"): ("monow", "rgb555be", "argb"),
    ("mjpeg", "mkv"): ("yuvj444p", "yuvj422p"),
    ("png", "mov"): ("rgba", "gray", "ya8", "rgb48be", "monob"),
    ("qtrle", "mov"): ("rgb24", "argb", "gray"),
    ("libvpx-vp9", "webm"): ("yuv444p", "yuv440p", "yuv420p"),
    ("huffyuv", "avi"): ("yuv422p", "bgra"),
    ("prores_ks", "mov"): ("yuv422p10le", "yuva444p10le"),
}
_SIZES = ((2, 2), (16, 2), (2, 200), (63, 47), (1_920, 2), (31, 33))


def cases(folder: Path) -> Iterator[Case]:
    for name, data, expect, seconds in (*_shapes(folder), *_rates(folder), *_sounds(folder)):
        yield Case(FAMILY, name, data, expect, seconds)
    for name, data, expect in (*_stills(), *_moving()):
        yield Case(FAMILY, name, data, expect)


_Timed = Iterator[tuple[str, bytes, frozenset[Outcome], float | None]]


def _shapes(folder: Path) -> _Timed:
    for (codec, suffix), formats in _FORMATS.items():
        for pix_fmt in formats:
            path = write(folder / f"format.{suffix}", video=codec, pix_fmt=pix_fmt, **_SHORT)
            yield f"{codec} {pix_fmt} in {suffix}", path.read_bytes(), EXAMINED, 1.0
    yield "rawvideo pal8 in avi", _palette(folder / "palette.avi"), EXAMINED, 1.0
    for size in _SIZES:
        made = write(folder / "size.mkv", video="ffv1", size=size, pix_fmt="bgra", **_SHORT)
        yield f"film {size[0]} x {size[1]}", made.read_bytes(), EXAMINED, 1.0
    yield "film 1 x 1", write(folder / "1.mkv", video="ffv1", size=(1, 1), pix_fmt="bgra", **_SHORT).read_bytes(), EXAMINED, 1.0
    large = {"size": (7_680, 4_320), "seconds": 0.4, "fps": 5, "audio": None}
    yield "film of 8K", write(folder / "8k.mp4", **large).read_bytes(), EXAMINED, 0.4
    yield "film of high range", _high_range(folder / "hdr.mkv"), EXAMINED, 1.0
    film = write(folder / "turn.mp4", **_SHORT).read_bytes()
    for name, (a, b, c, d) in {
        "90": (0, 1, -1, 0),
        "180": (-1, 0, 0, -1),
        "270": (0, -1, 1, 0),
        "mirrored": (-1, 0, 0, 1),
    }.items():
        yield f"film turned {name}", _turned(film, a, b, c, d), EXAMINED, 1.0
    yield "film with a matrix of zeros", _turned(film, 0, 0, 0, 0), EXAMINED, 1.0
    yield "film of one picture", write(folder / "one.mp4", times=[0.0], audio=None).read_bytes(), EXAMINED, None


def _rates(folder: Path) -> _Timed:
    uneven = [0.0, 0.01, 0.02, 0.5, 2.0, 2.04, 2.9]
    yield "film of variable rate", write(folder / "vfr.mkv", times=uneven, audio=None).read_bytes(), EXAMINED, None
    yield "film of variable rate, mp4", write(folder / "vfr.mp4", times=uneven, audio=None).read_bytes(), EXAMINED, None
    yield (
        "a picture every ten seconds",
        write(folder / "slow.mkv", times=[0.0, 10.0, 20.0], audio=None).read_bytes(),
        EXAMINED,
        None,
    )
    yield "film of 0.1 pictures a second", write(folder / "s.mp4", seconds=20, fps=0.1, audio=None).read_bytes(), EXAMINED, 20.0
    yield "film of 240 pictures a second", write(folder / "f.mp4", seconds=1, fps=240, audio=None).read_bytes(), EXAMINED, 1.0
    late = write(folder / "late.mkv", seconds=3, audio_seconds=1.0, audio_start=2.0, fps=5)
    yield "sound that begins late", late.read_bytes(), EXAMINED, 3.0
    yield "film longer than its sound", write(folder / "l.mkv", seconds=3, audio_seconds=1, fps=5).read_bytes(), EXAMINED, 3.0
    yield "sound longer than its film", write(folder / "m.mp4", seconds=1, audio_seconds=3, fps=5).read_bytes(), EXAMINED, 3.0


def _sounds(folder: Path) -> _Timed:
    noise = np.random.default_rng(7)
    for rate in (1_000, 8_000, 11_025, 44_100, 96_000, 192_000, 384_000):
        yield f"wav of {rate} Hz", wav(channels=1, samples=rate, rate=rate), EXAMINED, 1.0
    for channels in (2, 3, 6, 8, 16, 60, 64):
        yield f"wav of {channels} channels", wav(channels=channels, samples=16_000), EXAMINED, 1.0
    yield "wav of 65 channels", wav(channels=65, samples=8_000), UNSUPPORTED, None
    yield "wav of 1000 channels", wav(channels=1_000, samples=100), UNSUPPORTED | DAMAGED, None
    for bits, form in ((8, 1), (24, 1), (32, 1), (32, 3), (64, 3), (8, 6), (8, 7)):
        body = noise.integers(0, 256, 8_000 * bits // 8, np.uint8).tobytes()
        if form == 3:
            body = noise.normal(0, 0.1, 8_000).astype(f"<f{bits // 8}").tobytes()
        made = wav(channels=1, samples=0, rate=8_000, bits=bits, form=form, data=body)
        yield f"wav of {bits} bits, form {form}", made, EXAMINED, 1.0
    odd = np.array([np.nan, np.inf, -np.inf, 1e38] * 2_000, "<f4").tobytes()
    yield "wav of no numbers", wav(channels=1, samples=0, rate=8_000, bits=32, form=3, data=odd), EXAMINED, 1.0
    yield "wav of no samples", wav(channels=1, samples=0), DAMAGED, None
    yield "wav of one sample", wav(channels=1, samples=1), ANY, None
    yield "wav of no rate", wav(channels=1, samples=8_000, rate=0), DAMAGED, None
    yield "wav of no channels", wav(channels=0, samples=8_000, data=bytes(16_000)), DAMAGED, None
    yield "wav of 2^31 Hz", wav(channels=1, samples=8_000, rate=2**31 - 1), ANY | TOO_LARGE, None
    yield "wav of 1 Hz", wav(channels=1, samples=10, rate=1), ANY, None
    tone = noise.normal(0, 3_000, (8, 16_000)).astype(np.int16)
    for codec, suffix in (("flac", "flac"), ("pcm_s16le", "mov"), ("ac3", "mkv"), ("pcm_s16be", "mkv")):
        layout, count = ("5.1", 6) if codec == "ac3" else ("7.1", 8)
        if codec == "ac3":
            continue  # it wants planar floats; MPEG and AAC stand for what is packed
        yield (
            f"{codec} of {layout}",
            sounding(folder / f"c.{suffix}", tone[:count], layout=layout, codec=codec).read_bytes(),
            EXAMINED,
            1.0,
        )
    sound = {"video": None, "seconds": 1.0}
    for codec, suffix, rate in (("mp2", "mp2.mkv", 16_000), ("adpcm_ms", "wav", 16_000), ("pcm_mulaw", "mov", 8_000)):
        yield f"{codec}", write(folder / f"k.{suffix}", audio=codec, rate=rate, **sound).read_bytes(), EXAMINED, 1.0
    empty = write(folder / "empty.mp4", seconds=1, fps=5, audio_seconds=0.0)
    yield "film whose sound has no samples", empty.read_bytes(), DAMAGED | EXAMINED, None


def _stills() -> Iterator[tuple[str, bytes, frozenset[Outcome]]]:
    picture = quarters(96, 64).rotate(7)
    yield "png 1 x 1", png(1, 1), EXAMINED
    yield "png 60000 x 1", saved(Image.new("RGB", (60_000, 1), "red"), "PNG"), EXAMINED
    yield "jpeg 1 x 60000", saved(Image.new("L", (1, 60_000), 90), "JPEG"), EXAMINED
    yield "jpeg of 8K", saved(Image.new("RGB", (7_680, 4_320), "teal"), "JPEG", quality=20), EXAMINED
    for mode in ("1", "L", "LA", "P", "RGBA", "I;16"):
        yield (
            f"png of mode {mode}",
            saved(picture.convert("L").convert(mode) if mode[0] == "I" else picture.convert(mode), "PNG"),
            EXAMINED,
        )
    for mode in ("1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "LAB", "F", "I;16"):
        made = picture.convert("L").convert(mode) if mode in ("F", "I;16") else picture.convert(mode)
        yield f"tiff of mode {mode}", saved(made, "TIFF"), EXAMINED
    for packing in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group4"):
        yield (
            f"tiff packed by {packing}",
            saved(picture.convert("1") if packing == "group4" else picture, "TIFF", compression=packing),
            EXAMINED,
        )
    for options in ({"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"restart_marker_rows": 1}, {"quality": 1}):
        yield f"jpeg with {options}", saved(picture, "JPEG", **options), EXAMINED
    yield "jpeg of CMYK", saved(picture.convert("CMYK"), "JPEG"), EXAMINED
    yield "jpeg of grey", saved(picture.convert("L"), "JPEG"), EXAMINED
    for turn in range(10):
        exif = Image.Exif()
        exif[0x0112] = turn
        yield f"jpeg turned {turn}", saved(picture, "JPEG", exif=exif), EXAMINED
    for mode in ("1", "L", "P", "RGB"):
        yield f"bmp of mode {mode}", saved(picture.convert(mode), "BMP"), EXAMINED
    yield "bmp upside down", _bmp_upside_down(picture), EXAMINED
    yield "webp without loss, clear", saved(picture.convert("RGBA"), "WEBP", lossless=True), EXAMINED
    yield "avif of grey", saved(picture.convert("L"), "AVIF"), EXAMINED
    yield "avif clear", saved(picture.convert("RGBA"), "AVIF"), EXAMINED
    yield "png wholly clear", saved(Image.new("RGBA", (40, 40), (255, 255, 255, 0)), "PNG"), EXAMINED


def _moving() -> Iterator[tuple[str, bytes, frozenset[Outcome]]]:
    for kind in ("GIF", "PNG", "WEBP", "AVIF"):
        yield f"moving {kind}", animation(kind), EXAMINED
        yield f"moving {kind}, no time between", animation(kind, milliseconds=0 if kind != "AVIF" else 1), EXAMINED
    yield "moving gif of 1 x 1", animation("GIF", size=(1, 1)), EXAMINED
    yield "two jpegs in one file", _two_jpegs(), EXAMINED
    out = io.BytesIO()
    quarters().save(out, "TIFF", save_all=True, append_images=[quarters()] * 3)
    yield "tiff of four pages", out.getvalue(), EXAMINED


def _high_range(path: Path) -> bytes:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx265", rate=5, options={"x265-params": "log-level=none:pools=none:frame-threads=1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        stream.codec_context.color_trc, stream.codec_context.color_primaries = ColorTrc.SMPTE2084, ColorPrimaries.BT2020
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 30 * number, np.uint8), format="rgb24").reformat(
                format="yuv420p10le"
            )
            frame.pts, frame.time_base = number, Fraction(1, 5)
            frame.color_trc, frame.color_primaries = ColorTrc.SMPTE2084, ColorPrimaries.BT2020
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path.read_bytes()


def _palette(path: Path) -> bytes:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("rawvideo", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "pal8"
        colours = np.random.default_rng(1).integers(0, 256, (256, 4), np.uint8)
        for number in range(5):
            frame = av.VideoFrame.from_ndarray((np.full((48, 64), number, np.uint8), colours), format="pal8")
            frame.pts, frame.time_base = number, Fraction(1, 5)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path.read_bytes()


def _turned(film: bytes, a: int, b: int, c: int, d: int) -> bytes:
    data = bytearray(film)
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    return bytes(data)


def _bmp_upside_down(picture: Image.Image) -> bytes:
    data = bytearray(saved(picture, "BMP"))
    data[22:26] = struct.pack("<i", -picture.height)
    return bytes(data)


def _two_jpegs() -> bytes:
    return saved(quarters(), "JPEG") + saved(quarters(20, 20), "JPEG")
