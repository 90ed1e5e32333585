"""What platforms send: content events and deletions, and how a record is read into them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StrictStr, StringConstraints, ValidationError, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from omniguard.contracts import cloudevents, fields, wording
from omniguard.contracts.fields import Contract
from omniguard.domain.content import Cause, Deletion, Identity, Modality, Part, Turn, Upload
from omniguard.domain.revision import MAX_REQUEST
from omniguard.errors import BadContent, Reason, Unidentifiable

CONTENT_EVENT = "omniguard.content-event.v1"
CONTENT_DELETED = "omniguard.content-deleted.v1"
MAX_INLINE_BYTES = 256 * 1024
MAX_PARTS = 64
MAX_TURNS = 64
SCHEMES = ("http", "https", "s3", "file")
_TYPE = re.compile(r"omniguard\.(content-event|content-deleted)\.v(\d{1,9})")

Uri = Annotated[StrictStr, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:[^\s\x00-\x1f\x7f]+$", max_length=4096)]


class Rejected(BadContent):
    """A record whose identity is known and whose content breaks the contract: it is answered, and dead-lettered.

    `identity` and `request` address the verdict; `cause` is what the event claimed, `upload` where that cannot be read.
    """

    def __init__(
        self,
        identity: Identity,
        reason: Reason,
        message: str,
        *,
        request: int = 0,
        cause: Cause = Cause.UPLOAD,
        part: str | None = None,
    ) -> None:
        """Keep the address beside the reason."""
        super().__init__(reason, message, part=part)
        self.identity = identity
        self.request = request
        self.cause = cause


class PartData(Contract):
    """One part: exactly one of `text` (text only), `data` (base64 of an image, sound or video) and `uri`."""

    model_config = {
        "json_schema_extra": {
            "oneOf": [{"required": [name], "properties": {name: {"type": "string"}}} for name in ("text", "data", "uri")]
        }
    }

    id: fields.PartId
    modality: Modality
    role: fields.Role | None = None
    text: Annotated[StrictStr, WithJsonSchema({"type": "string", "minLength": 1})] | None = None
    data: fields.Base64 | None = None
    uri: Uri | None = None
    sha256: fields.Sha256 | None = None
    media_type: fields.MediaType | None = None

    @model_validator(mode="after")
    def _one_source(self) -> PartData:
        sources = [name for name in ("text", "data", "uri") if getattr(self, name) is not None]
        if len(sources) != 1:
            raise PydanticCustomError("source", "expected exactly one of text, data and uri")
        if self.text is not None and self.modality is not Modality.TEXT:
            raise PydanticCustomError("source", "expected text only in a part of modality text; send media as data or uri")
        if self.data is not None and self.modality is Modality.TEXT:
            raise PydanticCustomError("source", "expected data only for media; send a text as text or uri")
        if self.text is not None and not self.text.strip():
            # Users write such captions: no fault of the platform's, for which a lane is stopped.
            raise PydanticCustomError(Reason.UNSUPPORTED.value, "expected a text that is not blank; leave the part out")
        if self.uri is not None and self.uri.split(":", 1)[0].lower() not in SCHEMES:
            raise PydanticCustomError(Reason.UNSUPPORTED.value, "expected a uri of scheme http, https, s3 or file")
        return self

    def to_domain(self) -> Part:
        """The part as the domain has it; a media type loses its parameters."""
        media_type = self.media_type.split(";")[0].strip().lower() if self.media_type else None
        return Part(self.id, self.modality, self.role, self.text, self.data, self.uri, self.sha256, media_type)


class TurnData(Contract):
    """An earlier message of the conversation: context, never judged for itself."""

    role: fields.Role
    text: StrictStr


class ContentData(Contract):
    """An upload to be judged."""

    tenant: fields.Tenant
    content_id: fields.ContentId
    content_version: fields.ContentVersion
    request: fields.Request = 0
    cause: Cause = Cause.UPLOAD
    parts: Annotated[tuple[PartData, ...], Field(min_length=1, max_length=MAX_PARTS)]
    context: Annotated[tuple[TurnData, ...], Field(max_length=MAX_TURNS)] = ()
    deadline: fields.Time | None = None

    @model_validator(mode="after")
    def _as_a_whole(self) -> ContentData:
        if len({part.id for part in self.parts}) != len(self.parts):
            raise PydanticCustomError("parts", "expected each part id once; two parts share one")
        inline = sum(len((part.text or "").encode()) + len(part.data or b"") for part in self.parts)
        inline += sum(len(turn.text.encode()) for turn in self.context)
        if inline > MAX_INLINE_BYTES:
            raise PydanticCustomError(
                Reason.TOO_LARGE.value,
                "expected at most {limit} bytes inline, parts and context together, and found {found}; send larger ones by uri",
                {"found": inline, "limit": MAX_INLINE_BYTES},
            )
        return self


class DeletionData(Contract):
    """A content version that no longer exists on the platform: it cannot come back, whatever was or will be asked about it."""

    tenant: fields.Tenant
    content_id: fields.ContentId
    content_version: fields.ContentVersion


class _Envelope(Contract):
    specversion: Literal["1.0"]
    source: str
    id: str
    subject: str | None = None
    time: fields.Time | None = None
    datacontenttype: str | None = None


class ContentEvent(_Envelope):
    """`content-events`, structured mode. In binary mode the attributes are `ce_` headers and the value is `data`."""

    type: Literal["omniguard.content-event.v1"]
    data: ContentData


class ContentDeleted(_Envelope):
    """`content-events`, structured mode: stop working on a content, forget it, and publish `retracted`."""

    type: Literal["omniguard.content-deleted.v1"]
    data: DeletionData


def parse(key: bytes | None, value: bytes | None, headers: Mapping[str, bytes]) -> Upload | Deletion:
    """Read a record of a content topic.

    The record's key must be the body's `tenant|content_id`: order and one-at-a-time per content rest on it, so an event under
    another key is refused rather than judged out of order.

    Raises:
        Unidentifiable: not a CloudEvent of ours, an unknown major version, or no readable identity.
        Rejected: the identity is known and the rest breaks the contract.

    """
    event = cloudevents.read(value, headers)
    deletion = _kind(event.type) == "content-deleted"
    data = event.data
    if not isinstance(data, dict):
        raise Unidentifiable("the CloudEvent's data is no JSON object; expected tenant, content_id and content_version in it")
    identity = _identity(data)
    request, cause = _request(data), _cause(data)
    try:
        if key != identity.key.encode():
            raise _Wrong(
                Reason.INVALID_EVENT, "the record's key is not tenant|content_id of its data; set it, for order rests on it"
            )
        time = None if event.time is None else _checked_time(event.time)
        if deletion:
            return Deletion(identity, time)
        return _upload(identity, data, time)
    except ValidationError as error:
        reason, message, part = _explain(error, data)
        raise Rejected(identity, reason, message, request=request, cause=cause, part=part) from None
    except _Wrong as wrong:
        raise Rejected(identity, wrong.reason, str(wrong), request=request, cause=cause) from None


class _Wrong(Exception):
    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def _kind(event_type: str) -> str:
    match = _TYPE.fullmatch(event_type)
    if match is None:
        raise Unidentifiable(f"unknown CloudEvent type; expected {CONTENT_EVENT} or {CONTENT_DELETED}")
    if int(match[2]) != 1:
        raise Unidentifiable(f"found major version {int(match[2])} of omniguard.{match[1]}; expected 1: update the worker first")
    return match[1]


def _identity(data: Mapping[str, Any]) -> Identity:
    tenant, content_id, version = data.get("tenant"), data.get("content_id"), data.get("content_version")
    if not isinstance(tenant, str) or not re.fullmatch(fields.TENANT, tenant):
        raise Unidentifiable(f"data.tenant is missing or malformed; expected {fields.TENANT}")
    if not isinstance(content_id, str) or not 1 <= len(content_id) <= fields.MAX_CONTENT_ID or _has_controls(content_id):
        raise Unidentifiable(
            f"data.content_id is missing or malformed; expected 1 to {fields.MAX_CONTENT_ID} characters, none of them control"
        )
    if not isinstance(version, int) or isinstance(version, bool) or not 0 <= version <= fields.MAX_VERSION:
        raise Unidentifiable("data.content_version is missing or malformed; expected a whole number from 0")
    return Identity(tenant, content_id, version)


def _has_controls(text: str) -> bool:
    return any(unicodedata.category(c) == "Cc" for c in text)


def _request(data: Mapping[str, Any]) -> int:
    """The request number for an answer: 0 where it cannot be read, and the model then says why."""
    request = data.get("request", 0)
    valid = isinstance(request, int) and not isinstance(request, bool) and 0 <= request <= MAX_REQUEST
    return request if valid else 0


def _cause(data: Mapping[str, Any]) -> Cause:
    cause = data.get("cause")
    return Cause(cause) if isinstance(cause, str) and cause in set(Cause) else Cause.UPLOAD


def _checked_time(value: object) -> datetime:
    try:
        return fields.read_time(value)
    except PydanticCustomError as error:
        raise _Wrong(Reason.INVALID_EVENT, f"the CloudEvent's time is wrong: {error.message()}") from None


def _upload(identity: Identity, data: Mapping[str, Any], time: datetime | None) -> Upload:
    if data.get("stream") is not None:
        raise _Wrong(Reason.UNSUPPORTED, "live streams are not supported yet; send finished uploads without stream")
    content = ContentData.model_validate(data)
    if time is not None and content.deadline is not None and content.deadline <= time:
        raise _Wrong(Reason.INVALID_EVENT, "data.deadline is not after the event's own time; expected a later one, or none")
    return Upload(
        identity=identity,
        parts=tuple(part.to_domain() for part in content.parts),
        request=content.request,
        cause=content.cause,
        context=tuple(Turn(turn.role, turn.text) for turn in content.context),
        time=time,
        deadline=content.deadline,
    )


def _explain(error: ValidationError, data: Mapping[str, Any]) -> tuple[Reason, str, str | None]:
    """The first error, by its place and never by its value."""
    first = error.errors(include_url=False, include_input=False)[0]
    reason = Reason(first["type"]) if first["type"] in {Reason.TOO_LARGE, Reason.UNSUPPORTED} else Reason.INVALID_EVENT
    where = wording.path(("data", *first["loc"]))
    return reason, f"{where}: expected {wording.expected(first)}", _part_at(first["loc"], data)


def _part_at(loc: tuple[int | str, ...], data: Mapping[str, Any]) -> str | None:
    """The id of the part that an error lies in, if it has a valid one."""
    if len(loc) < 2 or loc[0] != "parts" or not isinstance(loc[1], int):
        return None
    part = data["parts"][loc[1]]
    name = part.get("id") if isinstance(part, dict) else None
    return name if isinstance(name, str) and re.fullmatch(fields.PART_ID, name) else None
