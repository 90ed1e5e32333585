"""Sound and video that are damaged, or beyond a limit: what can be examined is, and the rest is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from hostile_media.sounds import wav
from media_files.films import grey, write
from media_files.reading import LIMITS, collected
from omniguard.errors import BadContent, Reason
from omniguard.media.decode import probe
from omniguard.media.limits import DecodeLimits


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "flac"])
def test_a_file_cut_off_gives_what_it_holds_then_says_so(kind: str, tmp_path: Path) -> None:
    how = {"webm": {"video": "libvpx", "audio": "libopus"}, "flac": {"video": None, "audio": "flac"}}.get(kind, {})
    path = write(
        tmp_path / f"a.{kind}", seconds=20, container_options={"movflags": "faststart"} if kind == "mp4" else None, **how
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert probe(path, LIMITS).seconds == pytest.approx(20, abs=0.2)
    segments, refusal = collected(path)
    assert len(segments) >= 2
    assert 8 < (segments[-1].t1 or 0) < 16
    assert refusal.reason is Reason.DAMAGED
    assert "states 20" in str(refusal)


def test_a_track_that_cannot_be_decoded_is_not_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", seconds=8, container_options={"movflags": "faststart"})
    data = bytearray(path.read_bytes())
    for at in range(data.index(b"mdat") + 8, len(data), 61):
        data[at] ^= 0xA5
    path.write_bytes(data)
    _, refusal = collected(path)
    assert refusal.reason is Reason.DAMAGED


@pytest.mark.parametrize(
    ("how", "limits", "reason", "words"),
    [
        ({"seconds": 9}, DecodeLimits(max_seconds=8), Reason.TOO_LONG, "9 s; expected at most 8 s"),
        ({"size": (640, 480)}, DecodeLimits(max_pixels=300_000), Reason.TOO_LARGE, "640 x 480 pixels; expected at most 300000"),
        ({}, DecodeLimits(max_streams=1), Reason.TOO_LARGE, "2 streams; expected at most 1"),
    ],
)
def test_limits_are_checked_before_decoding(how: dict, limits: DecodeLimits, reason: Reason, words: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", **how)
    with pytest.raises(BadContent, match=words) as caught:
        probe(path, limits)
    assert caught.value.reason is reason


def test_a_length_that_is_not_stated_is_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.aac", video=None, seconds=9)
    with pytest.raises(BadContent, match="expected at most 8 s") as caught:
        probe(path, DecodeLimits(max_seconds=8))
    assert caught.value.reason is Reason.TOO_LONG


def test_a_file_that_lies_about_its_length_is_stopped(tmp_path: Path) -> None:
    segments, refusal = collected(write(tmp_path / "a.mkv", seconds=20), DecodeLimits(max_seconds=8))
    assert refusal.reason is Reason.TOO_LONG
    assert 6 <= (segments[-1].t1 or 0) <= 8.5


def test_too_many_frames_in_a_window(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", seconds=8, fps=100, size=(16, 16), picture=lambda t, w, h: grey(w, h, 9), audio=None)
    _, refusal = collected(path, DecodeLimits(max_frames_per_window=300))
    assert (refusal.reason, "at most 300" in str(refusal)) == (Reason.TOO_LARGE, True)


def test_more_channels_than_can_be_read_are_refused(tmp_path: Path) -> None:
    (path := tmp_path / "a.wav").write_bytes(wav(channels=65, samples=16_000))
    segments, refusal = collected(path)
    assert (segments, refusal.reason) == ([], Reason.UNSUPPORTED)
