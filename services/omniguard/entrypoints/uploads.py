"""From what a person names on the command line to a content event: files, texts, addresses."""

from __future__ import annotations

import base64
import re
import sys
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from omniguard.contracts.cloudevents import message
from omniguard.contracts.content_event import CONTENT_EVENT, MAX_INLINE_BYTES, SCHEMES
from omniguard.domain.content import Cause
from omniguard.errors import Misconfigured
from omniguard.media.sniff import HEAD_BYTES, modality_of, sniff
from omniguard.ports import Message

_ADDRESS = re.compile(rf"({'|'.join(SCHEMES)})://\S+", re.IGNORECASE)
_LOOKS_LIKE_A_FILE = re.compile(r"\S+\.[A-Za-z0-9]{2,4}")
_EXTENSIONS = {
    "image": ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic"),
    "audio": ("mp3", "wav", "flac", "aac", "m4a", "ogg", "oga", "opus"),
    "video": ("mp4", "m4v", "mov", "webm", "mkv", "ogv", "ts", "avi"),
    "text": ("txt", "md"),
}


def parts_of(words: Sequence[str], *, inline: bool) -> list[dict[str, Any]]:
    """One part a word, in order: `-` reads a text from standard input, then a file, an address, or the word itself as text.

    Args:
        words: as given on the command line.
        inline: put media into the event as long as it takes them; else, and beyond, name them by `file://`.

    Raises:
        Misconfigured: a word looks like a file that is not there, or is a file of no known kind.

    """
    parts: list[dict[str, Any]] = []
    room = MAX_INLINE_BYTES
    for number, word in enumerate(words):
        part = {"id": f"p{number}", **_part(word, room if inline else 0)}
        room -= len(part.get("text", "").encode()) + len(base64.b64decode(part.get("data", "")))
        parts.append(part)
    return parts


def content_event(
    topic: str,
    parts: Sequence[dict[str, Any]],
    *,
    tenant: str,
    content_id: str,
    version: int = 1,
    request: int = 0,
    cause: Cause = Cause.UPLOAD,
) -> Message:
    """A content event as a platform would send it, in structured mode."""
    data = {
        "tenant": tenant,
        "content_id": content_id,
        "content_version": version,
        "request": request,
        "cause": cause.value,
        "parts": list(parts),
    }
    key, now = f"{tenant}|{content_id}", datetime.now(UTC)
    return message(topic, key, CONTENT_EVENT, str(uuid.uuid4()), data, source="/omniguard/cli", time=now, mode="structured")


def local_folders(parts: Sequence[dict[str, Any]]) -> list[Path]:
    """The folders of the parts that are files by reference."""
    uris = [part["uri"] for part in parts if str(part.get("uri", "")).startswith("file://")]
    return sorted({_path_of(uri).parent for uri in uris})


def _part(word: str, room: int) -> dict[str, Any]:
    if word == "-":
        return {"modality": "text", "text": sys.stdin.read()}
    if _ADDRESS.fullmatch(word):
        return {"modality": _modality_of_name(word), "uri": word}
    path = Path(word)
    if _is_there(path):
        return _file(path, room)
    if _LOOKS_LIKE_A_FILE.fullmatch(word):
        raise Misconfigured(f"{word}: found no such file, expected one; to send it as a text, put it in through `-`")
    return {"modality": "text", "text": word}


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a long text is no file name
        return False


def _file(path: Path, room: int) -> dict[str, Any]:
    try:
        with path.open("rb") as source:
            found = sniff(source.read(HEAD_BYTES))
        modality = modality_of(found) if found else None
        if modality is None:
            _refuse_media_name(path)
            return {"modality": "text", "text": path.read_text(encoding="utf-8")}
        if path.stat().st_size <= room:
            data = base64.b64encode(path.read_bytes()).decode()
            return {"modality": modality.value, "media_type": found, "data": data}
    except UnicodeDecodeError:
        raise Misconfigured(f"{path}: found neither text in UTF-8 nor a known media type, expected one of them") from None
    except OSError as error:
        raise Misconfigured(f"{path}: cannot be read ({error.strerror}); expected a file") from error
    return {"modality": modality.value, "media_type": found, "uri": path.absolute().as_uri()}


def _refuse_media_name(path: Path) -> None:
    """A picture that is none must not be judged as the text that its bytes happen to be."""
    suffix = path.suffix.lower().removeprefix(".")
    for kind, extensions in _EXTENSIONS.items():
        if kind != "text" and suffix in extensions:
            raise Misconfigured(
                f"{path}: its name says {kind}, and its bytes are no media type that is read; expected a whole file"
            )


def _modality_of_name(address: str) -> str:
    extension = address.partition("?")[0].rpartition(".")[2].lower()
    for modality, extensions in _EXTENSIONS.items():
        if extension in extensions:
            return modality
    known = ", ".join(e for extensions in _EXTENSIONS.values() for e in extensions)
    raise Misconfigured(f"{address}: found no known file name extension, expected one of {known}; or publish an event file")


def _path_of(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))
