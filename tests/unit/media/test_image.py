"""Still and animated pictures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from media_files.pictures import animation, corners, png, quarters, saved
from omniguard.domain.content import Modality, Segment
from omniguard.domain.plan import ChunkPlan
from omniguard.errors import BadContent, Reason
from omniguard.media.decode import decode, probe
from omniguard.media.limits import DecodeLimits
from omniguard.media.picture import fit

UPRIGHT = ["red", "green", "blue", "white"]
LIMITS = DecodeLimits()


def segments(tmp_path: Path, data: bytes, plan: ChunkPlan | None = None, limits: DecodeLimits = LIMITS) -> list[Segment]:
    path = tmp_path / "file"
    path.write_bytes(data)
    return list(decode("p0", path, plan or ChunkPlan(), limits))


def still(tmp_path: Path, data: bytes, plan: ChunkPlan | None = None) -> bytes:
    (segment,) = segments(tmp_path, data, plan)
    assert (segment.part, segment.index, segment.modality, segment.t0, segment.t1) == ("p0", 0, Modality.IMAGE, None, None)
    (frame,) = segment.frames
    return frame.data


def brightness(data: bytes) -> float:
    return float(np.asarray(Image.open(io.BytesIO(data)).convert("L"), float).mean())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_format_becomes_an_upright_jpeg(kind: str, tmp_path: Path) -> None:
    data = still(tmp_path, saved(quarters(), kind))
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (64, 48))
    assert corners(data) == UPRIGHT


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied(orientation: int, tmp_path: Path) -> None:
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    image = quarters() if stored is None else quarters().transpose(stored)
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert corners(still(tmp_path, saved(image, "JPEG", exif=exif))) == UPRIGHT


@pytest.mark.parametrize("mode", ["CMYK", "L", "P", "RGBA", "1", "LA"])
def test_every_mode_becomes_rgb(mode: str, tmp_path: Path) -> None:
    image = quarters().convert(mode)
    data = still(tmp_path, saved(image, "TIFF" if mode == "CMYK" else "PNG"))
    assert Image.open(io.BytesIO(data)).mode == "RGB"
    if mode in ("CMYK", "P", "RGBA"):
        assert corners(data) == UPRIGHT


def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 65_535, 256, dtype=np.uint16), (16, 1))
    data = still(tmp_path, saved(Image.fromarray(ramp), "PNG"))
    row = np.asarray(Image.open(io.BytesIO(data)).convert("L"), float)[8]
    assert row[0] < 6
    assert 120 < row[128] < 136
    assert row[-1] > 249


def test_the_pages_behind_the_first_are_counted_as_unexamined(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(saved(quarters(), "TIFF", save_all=True, append_images=[quarters(), quarters()]))
    assert probe(path, LIMITS).unexamined_streams == 2


def test_what_is_transparent_shows_the_paper(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    assert brightness(still(tmp_path, saved(clear, "PNG"))) > 250


@pytest.mark.parametrize("ink", ["white", "black"])
def test_writing_on_a_clear_ground_stands_out_whatever_its_ink(ink: str, tmp_path: Path) -> None:
    written = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    written.paste(Image.new("RGBA", (32, 32), ink), (16, 16))
    picture = Image.open(io.BytesIO(still(tmp_path, saved(written, "PNG")))).convert("L")
    darkest, lightest = picture.getextrema()
    assert lightest - darkest > 200


def test_a_picture_over_the_plan_is_made_smaller(tmp_path: Path) -> None:
    data = still(tmp_path, saved(quarters(800, 600), "PNG"), ChunkPlan(max_pixels=30_000))
    assert Image.open(io.BytesIO(data)).size == (200, 150)
    assert corners(data) == UPRIGHT


@given(width=st.integers(1, 60_000), height=st.integers(1, 60_000), most=st.integers(1, 1_000_000))
def test_sizes_fit_and_keep_their_shape(width: int, height: int, most: int) -> None:
    w, h = fit(width, height, most)
    assert 1 <= w <= width
    assert 1 <= h <= height
    assert w * h <= most
    if width * height <= most:
        assert (w, h) == (width, height)
    elif min(w, h) > 20:
        assert w / h == pytest.approx(width / height, rel=0.06)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_a_short_video(kind: str, tmp_path: Path) -> None:
    data = animation(kind, frames=10, milliseconds=200)
    (segment,) = segments(tmp_path, data, ChunkPlan(max_frames=10))
    info = probe(tmp_path / "file", LIMITS)
    assert info.seconds == pytest.approx(2.0)
    assert (info.has_frames, info.has_sound, info.width, info.height) == (True, False, 64, 48)
    assert (segment.modality, segment.t0, segment.t1, segment.sound) == (Modality.VIDEO, 0.0, pytest.approx(2.0), None)
    assert [round(brightness(frame.data) / 20) for frame in segment.frames] == list(range(1, 11))
    assert [frame.time for frame in segment.frames] == pytest.approx([0.2 * n for n in range(10)])


def test_a_long_animation_is_cut_into_windows(tmp_path: Path) -> None:
    found = segments(tmp_path, animation("GIF", frames=12, milliseconds=1000), ChunkPlan(window_seconds=5, max_frames=2))
    assert [(s.t0, s.t1) for s in found] == [(0.0, 5.0), (5.0, 10.0), (10.0, 12.0)]
    assert [len(s.frames) for s in found] == [2, 2, 2]


def test_frames_without_a_duration_last_as_in_a_browser(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(animation("GIF", frames=5, milliseconds=0))
    assert probe(tmp_path / "file", LIMITS).seconds == pytest.approx(0.5)


def test_a_gif_of_one_frame_is_a_still(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(animation("GIF", frames=1))
    assert probe(tmp_path / "file", LIMITS).seconds is None


@pytest.mark.parametrize(
    ("data", "limits", "reason", "words"),
    [
        (png(300, 300), DecodeLimits(max_pixels=80_000), Reason.TOO_LARGE, "300 x 300 pixels; expected at most 80000"),
        (animation("GIF", frames=9), DecodeLimits(max_animation_frames=8), Reason.TOO_LARGE, "9 frames"),
        (animation("GIF", frames=9), DecodeLimits(max_animation_pixels=9_999), Reason.TOO_LARGE, "9999 pixels together"),
        (
            animation("GIF", frames=9, milliseconds=1000),
            DecodeLimits(max_seconds=5),
            Reason.TOO_LONG,
            "9 s; expected at most 5 s",
        ),
        (saved(quarters(), "JPEG")[:-200], LIMITS, Reason.DAMAGED, "damaged"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", LIMITS, Reason.UNSUPPORTED, "image/heic"),
    ],
)
def test_refusals_say_what_was_found_and_expected(
    data: bytes, limits: DecodeLimits, reason: Reason, words: str, tmp_path: Path
) -> None:
    with pytest.raises(BadContent, match=words) as caught:
        segments(tmp_path, data, limits=limits)
    assert caught.value.reason is reason


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(png(9_000, 9_000, b"not even compressed data"))
    with pytest.raises(BadContent, match="9000 x 9000") as caught:
        probe(tmp_path / "file", LIMITS)
    assert caught.value.reason is Reason.TOO_LARGE
