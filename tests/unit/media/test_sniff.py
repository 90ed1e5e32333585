"""Media types from first bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_files.films import write
from media_files.pictures import quarters, saved
from omniguard.domain.content import Modality
from omniguard.media.sniff import HEAD_BYTES, MEDIA_TYPES, carries, modality_of, sniff

STILLS = {"JPEG": "jpeg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tiff", "AVIF": "avif"}
FILMS = [
    ("film.mp4", "video/mp4", {}),
    ("film.mov", "video/quicktime", {}),
    ("film.mkv", "video/matroska", {}),
    ("film.webm", "video/webm", {"video": "libvpx", "audio": "libopus"}),
    ("film.avi", "video/x-msvideo", {"video": "mpeg4", "audio": "libmp3lame"}),
    ("film.ts", "video/mp2t", {}),
    ("sound.mp3", "audio/mpeg", {"video": None, "audio": "libmp3lame"}),
    ("sound.wav", "audio/wav", {"video": None, "audio": "pcm_s16le"}),
    ("sound.flac", "audio/flac", {"video": None, "audio": "flac"}),
    ("sound.ogg", "audio/ogg", {"video": None, "audio": "libopus"}),
    ("sound.m4a", "audio/mp4", {"video": None}),
    ("sound.aac", "audio/aac", {"video": None}),
]


@pytest.mark.parametrize(("kind", "name"), STILLS.items())
def test_pictures(kind: str, name: str) -> None:
    assert sniff(saved(quarters(), kind)[:HEAD_BYTES]) == f"image/{name}"


@pytest.mark.parametrize(("name", "media_type", "how"), FILMS, ids=[name for name, *_ in FILMS])
def test_sound_and_video(name: str, media_type: str, how: dict, tmp_path: Path) -> None:
    head = write(tmp_path / name, seconds=0.5, **how).read_bytes()[:HEAD_BYTES]
    assert sniff(head) == media_type


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "image/heic"),
        (b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1avif", "image/avif"),
        (b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  ", "video/quicktime"),
        (b"\x00\x00\x00\x14ftyp3gp4\x00\x00\x00\x003gp4", "video/mp4"),
        (b"\x00\x00\x00\x08wide\x00\x00\x00\x00mdat", "video/quicktime"),
        (b"OggS" + bytes(24) + b"\x80theora", "video/ogg"),
        (b"ID3\x04\x00\x00\x00\x02\x00\x00" + bytes(200), "audio/mpeg"),
        (b"ID3\x04\x00\x00\x00\x00\x00\x04abcd\xff\xfb\x90\x00", "audio/mpeg"),
        (b"\xff\xf1\x50\x80\x00\x1f\xfc", "audio/aac"),
        (b"II*\x00\x08\x00\x00\x00", "image/tiff"),
    ],
)
def test_heads_that_no_library_here_writes(head: bytes, media_type: str) -> None:
    assert sniff(head) == media_type


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xff",
        b"hello",
        b"#EXTM3U\n",
        b"ffconcat version 1.0\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"RIFF\x00\x00\x00\x00XXXX",
        b"ID3\x04\x00\x00\x00\x00\x00\x00#EXTM3U\n",
        b"BM is how this sentence begins",
        b"G is a letter, too",
        b"\x1aE\xdf\xa3\x9fB\x82\x84docx",
        b"\xff\xff\xff\xff",
        b"\xff\xfb\xf0\x00",
    ],
)
def test_what_is_not_decoded_has_no_type(head: bytes) -> None:
    assert sniff(head) is None


@given(st.binary(max_size=600))
def test_any_bytes_give_a_known_type_or_none(head: bytes) -> None:
    assert sniff(head) in {*MEDIA_TYPES, None}


def test_a_container_may_hold_sound_alone() -> None:
    assert modality_of("video/webm") is Modality.VIDEO
    assert carries("video/webm") == {Modality.VIDEO, Modality.AUDIO}
    assert modality_of("audio/mpeg") is Modality.AUDIO
    assert modality_of("image/png") is Modality.IMAGE
    assert modality_of("application/pdf") is None
    assert all(modality_of(media_type) is not None for media_type in MEDIA_TYPES)
