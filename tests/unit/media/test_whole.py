"""A file that ends before the end that it states is found out by its outermost elements."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from hostile_media.sounds import wav
from media_files.films import write
from media_files.reading import collected, cut
from omniguard.errors import Reason
from omniguard.media.whole import missing_bytes

KINDS = {
    "a.mp4": "video/mp4",
    "a.mov": "video/quicktime",
    "a.mkv": "video/matroska",
    "a.avi": "video/x-msvideo",
    "a.wav": "audio/wav",
}
HOW = {"a.avi": {"video": "mpeg4", "audio": "libmp3lame"}, "a.wav": {"video": None, "audio": "pcm_s16le"}}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_missing_is_counted(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, seconds=2, fps=5, **HOW.get(name, {}))
    data = path.read_bytes()
    assert missing_bytes(path, KINDS[name]) == 0
    path.write_bytes(data + b"PK\x03\x04 and what somebody hung on to it")
    assert missing_bytes(path, KINDS[name]) == 0
    path.write_bytes(data[:-100])
    assert missing_bytes(path, KINDS[name]) == 100


def test_a_lost_sound_track_is_told(tmp_path: Path) -> None:
    """The header ends behind the pictures' description: the file plays, and nothing in it speaks of sound."""
    path = write(tmp_path / "a.mp4", seconds=2, fps=5)
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"trak") - 4])
    segments, refusal = collected(path)
    assert len(segments[0].frames) == 2
    assert segments[0].sound is None
    assert refusal.reason is Reason.DAMAGED
    assert "before the end that it states" in str(refusal)


@pytest.mark.parametrize("claimed", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_writer_that_could_not_go_back_states_nothing(claimed: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(channels=1, samples=16_000, claimed=claimed))
    assert missing_bytes(path, "audio/wav") == 0
    assert cut(path)[0].sound is not None


def test_elements_of_no_size_end_the_search(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(struct.pack(">I4s", 0, b"mdat") + bytes(50))
    assert missing_bytes(path, "video/mp4") == 0
    path.write_bytes(b"\x1aE\xdf\xa3\x80\x18\x53\x80\x67\x01" + b"\xff" * 7)
    assert missing_bytes(path, "video/matroska") == 0
    path.write_bytes(struct.pack(">I4s", 8, b"free") * 100_001 + struct.pack(">I4s", 99, b"mdat"))
    assert missing_bytes(path, "video/mp4") == 0
