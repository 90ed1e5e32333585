"""CloudEvents 1.0 on Kafka: structured and binary mode, read and written."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from omniguard.errors import Unidentifiable

STRUCTURED = "application/cloudevents+json"
JSON = "application/json"
Mode = Literal["structured", "binary"]


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
            "the record has no value; expected a CloudEvent; to delete a content send omniguard.content-deleted.v1"
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


def write(
    attributes: Mapping[str, str], data: Mapping[str, Any], *, time: datetime, mode: Mode, traceparent: str | None = None
) -> tuple[bytes, dict[str, bytes]]:
    """Encode an event; return the record's value and headers.

    Args:
        attributes: type, source, id and subject.
        data: what the event says, ready for JSON.
        time: when it happened; aware.
        mode: which of the two forms.
        traceparent: W3C trace context for the record's header.

    """
    envelope = {"specversion": "1.0", **attributes, "time": timestamp(time)}
    trace = {"traceparent": traceparent.encode()} if traceparent else {}
    if mode == "structured":
        return orjson.dumps({**envelope, "datacontenttype": JSON, "data": data}), {"content-type": STRUCTURED.encode(), **trace}
    return orjson.dumps(data), {"content-type": JSON.encode(), **{f"ce_{k}": v.encode() for k, v in envelope.items()}, **trace}


def timestamp(time: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _structured(body: object) -> CloudEvent:
    if not isinstance(body, dict):
        raise Unidentifiable("found JSON that is no object; expected a CloudEvent")
    if "data" not in body and isinstance(body.get("data_base64"), str):
        try:
            return _event(body, _json(base64.b64decode(body["data_base64"], validate=True)))
        except binascii.Error as error:
            raise Unidentifiable("data_base64 is not base64; send the JSON as data") from error
    return _event(body, body.get("data"))


def _event(attributes: Mapping[str, Any], data: object) -> CloudEvent:
    version = attributes.get("specversion")
    if not isinstance(version, str) or not version.startswith("1."):
        raise Unidentifiable("found no CloudEvents specversion 1.0; expected it beside type")
    kind = attributes.get("type")
    if not isinstance(kind, str):
        raise Unidentifiable("the CloudEvent has no type; expected omniguard.content-event.v1 or omniguard.content-deleted.v1")
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
