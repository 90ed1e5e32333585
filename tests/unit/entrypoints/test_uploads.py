from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest

from omniguard.contracts.content_event import parse
from omniguard.domain.content import Upload
from omniguard.entrypoints.publish import event_file
from omniguard.entrypoints.uploads import content_event, local_folders, parts_of
from omniguard.errors import Misconfigured
from omniguard.samples import MEDIA


def test_words_become_parts_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = tmp_path / "note.txt"
    note.write_text("from a file")
    monkeypatch.setattr("sys.stdin", io.StringIO("from outside"))
    words = ["hello there", str(note), str(MEDIA / "photo.jpg"), "https://example.org/a/film.mp4?x=1", "-"]
    parts = parts_of(words, inline=False)
    assert [part["id"] for part in parts] == ["p0", "p1", "p2", "p3", "p4"]
    assert [part["modality"] for part in parts] == ["text", "text", "image", "video", "text"]
    assert [part.get("text") for part in parts] == ["hello there", "from a file", None, None, "from outside"]
    assert parts[2]["uri"] == (MEDIA / "photo.jpg").as_uri()
    assert local_folders(parts) == [MEDIA]


def test_small_files_go_inline_as_long_as_the_event_takes_them() -> None:
    parts = parts_of(
        [str(MEDIA / "harm-begins-at-12s.mp4"), str(MEDIA / "harmful-speech.flac"), str(MEDIA / "photo.jpg")], inline=True
    )
    assert [("data" in part, "uri" in part) for part in parts] == [(True, False), (True, False), (False, True)]
    assert base64.b64decode(parts[1]["data"]) == (MEDIA / "harmful-speech.flac").read_bytes()
    message = content_event("t", parts, tenant="acme", content_id="c", version=3, request=2)
    upload = parse(message.key, message.value, message.headers)
    assert isinstance(upload, Upload)
    assert (upload.identity.content_version, upload.request, len(upload.parts)) == (3, 2, 3)


@pytest.mark.parametrize("word", ["phot.jpg", "/nowhere/film.mp4", "https://example.org/file"])
def test_what_is_no_part_is_refused(word: str) -> None:
    with pytest.raises(Misconfigured, match="expected"):
        parts_of([word], inline=False)


def test_a_file_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(bytes(range(256)))
    with pytest.raises(Misconfigured, match="neither text in UTF-8 nor a known media type"):
        parts_of([str(tmp_path / "x.bin")], inline=False)


def test_a_long_text_is_no_file_name() -> None:
    assert parts_of(["word " * 2000], inline=False)[0]["modality"] == "text"


@pytest.mark.parametrize(
    ("event", "key"),
    [
        ('{"subject": "acme|a", "data": {}}', b"acme|a"),
        ('{"data": {"tenant": "acme", "content_id": "b"}}', b"acme|b"),
    ],
)
def test_an_event_file_is_sent_as_it_is(tmp_path: Path, event: str, key: bytes) -> None:
    path = tmp_path / "event.json"
    path.write_text(event)
    message = event_file(path, "content-events", None)
    assert (message.key, message.value) == (key, event.encode())


def test_an_event_file_without_identity_needs_a_key(tmp_path: Path) -> None:
    path = tmp_path / "event.json"
    path.write_text("not JSON")
    with pytest.raises(Misconfigured, match="--key"):
        event_file(path, "content-events", None)
    assert event_file(path, "content-events", "k").value == b"not JSON"


def test_a_folder_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="expected a file"):
        parts_of([str(tmp_path)], inline=True)


def test_a_picture_that_is_none_is_no_text(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.jpg"
    wrong.write_text("no picture at all")
    with pytest.raises(Misconfigured, match="its name says image"):
        parts_of([str(wrong)], inline=True)
