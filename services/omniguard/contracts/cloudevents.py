"""CloudEvents 1.0 on Kafka: structured and binary mode, read and written."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from omniguard.contracts import wording
from omniguard.errors import Unidentifiable
from omniguard.ports import Message

STRUCTURED = "application/cloudevents+json"
JSON = "application/json"
Mode = Literal["structured", "binary"]
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """What we use of an event. `time` and `data` are as they were in the JSON, not yet checked."""

    type: str
    time: object
    data: object


def read(value: bytes | None, headers: Mapping[str, bytes]) -> CloudEvent:
    """Read an event in either mode.

    A body that carries `specversion` is structured even if no header says so: many producers set none.

    Raises:
        Unidentifiable: there is no event in the record.

    """
    if value is None:
        raise Unidentifiable(
            "the record has no value; expected a CloudEvent; to delete a content, send omniguard.content-deleted.v1"
        )
    attributes = {name.lower(): content for name, content in headers.items()}
    content_type = _text(attributes.get("content-type", b"")).split(";")[0].strip().lower()
    body = _json(value)
    if content_type.startswith("application/cloudevents"):
        if content_type != STRUCTURED:
            raise Unidentifiable(f"found another CloudEvents format than JSON; expected content-type {STRUCTURED}")
        return _structured(body)
    if "ce_specversion" in attributes or "ce_type" in attributes:
        text = {name[3:]: _text(content) for name, content in attributes.items() if name.startswith("ce_")}
        return _event(text, body)
    if isinstance(body, dict) and "specversion" in body:
        return _structured(body)
    raise Unidentifiable("found JSON that is no CloudEvent; expected ce_ headers, or a body with specversion, type and data")


def message(
    topic: str,
    key: str,
    kind: str,
    event_id: str,
    data: Mapping[str, Any],
    *,
    source: str,
    time: datetime,
    mode: Mode,
    headers: Mapping[str, bytes] | None = None,
) -> Message:
    """Encode an event; its subject is the record's key.

    Args:
        topic: where it goes.
        key: the record's key.
        kind: the event's type.
        event_id: the event's id.
        data: what it says, ready for JSON.
        source: who says it.
        time: when it happened; aware.
        mode: which of the two forms.
        headers: further headers of the record, such as trace context.

    """
    envelope = {"specversion": "1.0", "type": kind, "source": source, "id": event_id, "subject": key, "time": timestamp(time)}
    if mode == "structured":
        value = orjson.dumps({**envelope, "datacontenttype": JSON, "data": data})
        ours = {"content-type": STRUCTURED.encode()}
    else:
        value = orjson.dumps(data)
        ours = {"content-type": JSON.encode(), **{f"ce_{name}": text.encode() for name, text in envelope.items()}}
    return Message(topic=topic, key=key.encode(), value=value, headers={**(headers or {}), **ours})


def decode(value: bytes | None, headers: Mapping[str, bytes], kind: str, model: type[M]) -> M:
    """Read an event of one known type.

    Raises:
        Unidentifiable: it is of another type, or its data break the contract.

    """
    event = read(value, headers)
    if event.type != kind:
        raise Unidentifiable(f"found a CloudEvent of another type; expected {kind}")
    try:
        return model.model_validate(event.data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Unidentifiable(f"{wording.path(('data', *first['loc']))}: expected {wording.expected(first)}") from None


def timestamp(time: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _structured(body: object) -> CloudEvent:
    if not isinstance(body, dict):
        raise Unidentifiable("found JSON that is no object; expected a CloudEvent")
    if "data" not in body and isinstance(body.get("data_base64"), str):
        try:
            return _event(body, _json(base64.b64decode(body["data_base64"], validate=True)))
        except ValueError as error:  # binascii.Error is one; so is a character outside ASCII
            raise Unidentifiable("data_base64 is not base64; send the JSON as data") from error
    return _event(body, body.get("data"))


def _event(attributes: Mapping[str, Any], data: object) -> CloudEvent:
    version = attributes.get("specversion")
    if not isinstance(version, str) or not version.startswith("1."):
        raise Unidentifiable("found no CloudEvents specversion 1.0; expected it beside type")
    kind = attributes.get("type")
    if not isinstance(kind, str):
        raise Unidentifiable("the CloudEvent has no type; expected one like omniguard.content-event.v1")
    return CloudEvent(kind, attributes.get("time"), data)


def _json(value: bytes) -> object:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise Unidentifiable(
            f"the value is not JSON in UTF-8 (at byte {error.pos} of {len(value)}); expected a CloudEvent"
        ) from error


def _text(header: bytes) -> str:
    try:
        return header.decode()
    except UnicodeDecodeError as error:
        raise Unidentifiable("a CloudEvents header is not UTF-8; expected UTF-8") from error
