"""Whether bytes are what an event says they are."""

from __future__ import annotations

from omniguard.domain.content import Modality, Part
from omniguard.domain.reason import Reason
from omniguard.errors import BadContent
from omniguard.media.sniff import carries, sniff

_NO_CLAIM = frozenset({"", "application/octet-stream", "binary/octet-stream"})
# One container, several names: a claim and the bytes agree if their format is the same.
_FORMAT = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/apng": "image/png",
    "image/x-ms-bmp": "image/bmp",
    "image/heif": "image/heic",
    "audio/mp3": "audio/mpeg",
    "audio/x-mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/x-aac": "audio/aac",
    "audio/aacp": "audio/aac",
    **dict.fromkeys(("application/ogg", "audio/ogg", "audio/opus", "audio/vorbis", "video/ogg"), "ogg"),
    **dict.fromkeys(
        ("audio/mp4", "audio/m4a", "audio/x-m4a", "video/mp4", "video/m4v", "video/x-m4v", "video/quicktime", "video/3gpp"), "iso"
    ),
    **dict.fromkeys(("audio/webm", "video/webm", "video/matroska", "video/x-matroska", "audio/x-matroska"), "matroska"),
    "video/avi": "video/x-msvideo",
    "video/msvideo": "video/x-msvideo",
}


def check_media(part: Part, head: bytes) -> str:
    """The sniffed type of a media part's first bytes.

    Raises:
        BadContent: type_mismatch: unknown bytes, bytes of another modality, or of another format than the event claims.

    """
    found = sniff(head)
    if found is None:
        raise BadContent(Reason.TYPE_MISMATCH, f"the bytes are of no known media type; expected {part.modality}")
    if part.modality not in carries(found):
        raise BadContent(Reason.TYPE_MISMATCH, f"the bytes are {found}; expected {part.modality}")
    claimed = _essence(part.media_type)
    if claimed not in _NO_CLAIM and _format(claimed) != _format(found):
        raise BadContent(Reason.TYPE_MISMATCH, f"the bytes are {found}; expected the media_type that the event claims")
    return found


def check_text(part: Part) -> str:
    """The type of a text part.

    Raises:
        BadContent: type_mismatch: the event says that it is something else.

    """
    claimed = _essence(part.media_type)
    if part.modality is not Modality.TEXT or (claimed not in _NO_CLAIM and not claimed.startswith("text/")):
        raise BadContent(Reason.TYPE_MISMATCH, f"the part is text, but the event says {part.modality} or another media_type")
    return "text/plain"


def _essence(media_type: str | None) -> str:
    return (media_type or "").partition(";")[0].strip().lower()


def _format(media_type: str) -> str:
    return _FORMAT.get(media_type, media_type)
