"""Reading content events and deletions."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from omniguard.contracts.content_event import CONTENT_DELETED, CONTENT_EVENT, MAX_INLINE_BYTES, MAX_PARTS, Rejected, parse
from omniguard.domain.content import Cause, Deletion, Identity, Modality, Part, Turn, Upload
from omniguard.domain.reason import Reason
from omniguard.errors import Unidentifiable

KEY = b"acme|post-17"
TEXT = {"id": "p0", "modality": "text", "text": "hello"}
DATA: dict[str, Any] = {"tenant": "acme", "content_id": "post-17", "content_version": 1, "parts": [TEXT]}


def body(data: object = DATA, **more: object) -> bytes:
    event = {"specversion": "1.0", "type": CONTENT_EVENT, "source": "/u", "id": "1", "time": "2026-11-21T10:00:00Z", "data": data}
    return orjson.dumps({**event, **more})


def rejected(data: dict[str, Any], key: bytes | None = KEY, **more: object) -> Rejected:
    with pytest.raises(Rejected) as caught:
        parse(key, body(data, **more), {})
    return caught.value


def part(**fields: object) -> dict[str, Any]:
    return {**DATA, "parts": [{"id": "p0", **fields}]}


def test_reads_every_field() -> None:
    data = {
        **DATA,
        "request": 3,
        "cause": "appeal",
        "deadline": "2026-11-21T11:00:30+01:00",
        "context": [{"role": "user", "text": "before"}],
        "parts": [
            {**TEXT, "role": "caption"},
            {
                "id": "p1",
                "modality": "video",
                "uri": "s3://b/17.mp4",
                "sha256": "9F" * 32,
                "media_type": "Video/MP4; codecs=avc1",
            },
            {"id": "p2", "modality": "audio", "data": base64.b64encode(b"\x00\x01").decode()},
        ],
        "somebody": "elses field",
    }
    assert parse(KEY, body(data), {}) == Upload(
        identity=Identity("acme", "post-17", 1),
        parts=(
            Part("p0", Modality.TEXT, role="caption", text="hello"),
            Part("p1", Modality.VIDEO, uri="s3://b/17.mp4", sha256="9f" * 32, media_type="video/mp4"),
            Part("p2", Modality.AUDIO, data=b"\x00\x01"),
        ),
        request=3,
        cause=Cause.APPEAL,
        context=(Turn("user", "before"),),
        time=datetime(2026, 11, 21, 10, tzinfo=UTC),
        deadline=datetime(2026, 11, 21, 10, 0, 30, tzinfo=UTC),
    )


def test_reads_a_deletion() -> None:
    data = {"tenant": "acme", "content_id": "post-17", "content_version": 2}
    deletion = parse(KEY, body(data, type=CONTENT_DELETED), {})
    assert deletion == Deletion(Identity("acme", "post-17", 2), datetime(2026, 11, 21, 10, tzinfo=UTC))


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (body(), {"content-type": b"application/cloudevents+json; charset=utf-8"}),
        (body(), {}),
        (body(), {"content-type": b"application/json"}),
        (orjson.dumps(DATA), {"ce_type": CONTENT_EVENT.encode(), "ce_specversion": b"1.0", "content-type": b"application/json"}),
        (orjson.dumps(DATA), {"CE_Type": CONTENT_EVENT.encode(), "CE_Specversion": b"1.0"}),
        (
            orjson.dumps(
                {"specversion": "1.0", "type": CONTENT_EVENT, "data_base64": base64.b64encode(orjson.dumps(DATA)).decode()}
            ),
            {"content-type": b"application/cloudevents+json"},
        ),
    ],
    ids=["structured", "structured without header", "structured as plain JSON", "binary", "binary in capitals", "data_base64"],
)
def test_reads_both_modes(value: bytes, headers: dict[str, bytes]) -> None:
    upload = parse(KEY, value, headers)
    assert isinstance(upload, Upload)
    assert upload.parts == (Part("p0", Modality.TEXT, text="hello"),)


@pytest.mark.parametrize(
    ("value", "headers", "says"),
    [
        (None, {}, "no value"),
        (b"\xff", {}, "not JSON"),
        (b"[]", {}, "no CloudEvent"),
        (b"{}", {}, "no CloudEvent"),
        (b"[]", {"content-type": b"application/cloudevents+json"}, "no object"),
        (body(), {"content-type": b"application/cloudevents+avro"}, "another CloudEvents format"),
        (body(), {"content-type": b"application/cloudevents-batch+json"}, "another CloudEvents format"),
        (body(), {"content-type": b"\xff"}, "not UTF-8"),
        ('{"specversion": "1.0", "type": "omniguard.content-deleted.v1", "data_base64": "é"}'.encode(), {}, "not base64"),
        (body(specversion="0.3"), {}, "specversion"),
        (body(specversion=1.0), {}, "specversion"),
        (body(type=None), {}, "no type"),
        (body(type="com.example.uploaded"), {}, "unknown CloudEvent type"),
        (body(type="omniguard.content-event.v2"), {}, "found major version 2"),
        (body([]), {}, "no JSON object"),
        (body({**DATA, "tenant": "Acme"}), {}, "data.tenant"),
        (body({**DATA, "tenant": "a" * 64}), {}, "data.tenant"),
        (body({**DATA, "tenant": "acme\n"}), {}, "data.tenant"),
        (body({**DATA, "content_id": ""}), {}, "data.content_id"),
        (body({**DATA, "content_id": "a\u0000"}), {}, "data.content_id"),
        (body({**DATA, "content_id": "a" * 257}), {}, "data.content_id"),
        (body({**DATA, "content_version": "1"}), {}, "data.content_version"),
        (body({**DATA, "content_version": True}), {}, "data.content_version"),
        (body({**DATA, "content_version": -1}), {}, "data.content_version"),
        (body({k: v for k, v in DATA.items() if k != "content_version"}), {}, "data.content_version"),
        (
            b'{"specversion":"1.0","type":"omniguard.content-event.v1","data":{"tenant":"acme","content_id":"x","content_version":NaN}}',
            {},
            "not JSON",
        ),
    ],
)
def test_without_a_readable_identity_there_is_nobody_to_answer(value: bytes | None, headers: dict[str, bytes], says: str) -> None:
    with pytest.raises(Unidentifiable, match=says):
        parse(KEY, value, headers)


@pytest.mark.parametrize(
    ("data", "reason", "says"),
    [
        ({**DATA, "parts": []}, Reason.INVALID_EVENT, "data.parts: expected at least 1"),
        ({**DATA, "parts": [{**TEXT, "id": f"p{i}"} for i in range(MAX_PARTS + 1)]}, Reason.INVALID_EVENT, "at most 64"),
        ({**DATA, "parts": [TEXT, TEXT]}, Reason.INVALID_EVENT, "each part id once"),
        ({**DATA, "parts": {"p0": TEXT}}, Reason.INVALID_EVENT, "data.parts: expected a list"),
        ({**DATA, "request": -1}, Reason.INVALID_EVENT, "data.request: expected at least 0"),
        ({**DATA, "request": 2**31}, Reason.INVALID_EVENT, "data.request: expected at most"),
        ({**DATA, "request": 1.0}, Reason.INVALID_EVENT, "data.request: expected a whole number"),
        ({**DATA, "cause": "whim"}, Reason.INVALID_EVENT, "data.cause: expected 'upload'"),
        ({**DATA, "deadline": "2026-11-21T10:00:00Z"}, Reason.INVALID_EVENT, "not after the event's own time"),
        ({**DATA, "deadline": "2026-11-21T10:00:30"}, Reason.INVALID_EVENT, "RFC 3339"),
        ({**DATA, "deadline": "2026-02-30T10:00:30Z"}, Reason.INVALID_EVENT, "RFC 3339"),
        ({**DATA, "deadline": 1e12}, Reason.INVALID_EVENT, "RFC 3339"),
        ({**DATA, "stream": {"id": "s", "sequence": 0}}, Reason.UNSUPPORTED, "streams"),
        ({**DATA, "context": [{"role": "a b", "text": ""}]}, Reason.INVALID_EVENT, "data.context[0].role"),
        (part(modality="smell", text="x"), Reason.INVALID_EVENT, "data.parts[0].modality: expected 'text', 'image'"),
        (part(modality="text"), Reason.INVALID_EVENT, "exactly one of text, data and uri"),
        (part(modality="text", text="x", uri="s3://b/k"), Reason.INVALID_EVENT, "exactly one of text, data and uri"),
        (part(modality="text", text=" \n"), Reason.UNSUPPORTED, "not blank"),
        (part(modality="text", text=""), Reason.UNSUPPORTED, "not blank"),
        (part(modality="text", data="eA=="), Reason.INVALID_EVENT, "data only for media"),
        (part(modality="image", text="x"), Reason.INVALID_EVENT, "text only in a part of modality text"),
        (part(modality="image", data="e"), Reason.INVALID_EVENT, "base64"),
        (part(modality="image", data="é"), Reason.INVALID_EVENT, "base64"),
        (part(modality="image", uri="no uri"), Reason.INVALID_EVENT, "data.parts[0].uri"),
        (part(modality="image", uri="ftp://h/x"), Reason.UNSUPPORTED, "scheme http, https, s3 or file"),
        (part(modality="image", uri="s3://b/k", sha256="12"), Reason.INVALID_EVENT, "data.parts[0].sha256"),
        (part(modality="image", uri="s3://b/k", media_type="png"), Reason.UNSUPPORTED, "such as video/mp4"),
        (part(modality="text", text="x" * (MAX_INLINE_BYTES + 1)), Reason.TOO_LARGE, "send larger ones by uri"),
        (part(modality="text", text="é" * (MAX_INLINE_BYTES // 2 + 1)), Reason.TOO_LARGE, "send larger ones by uri"),
        ({**DATA, "context": [{"role": "user", "text": "x" * MAX_INLINE_BYTES}]}, Reason.TOO_LARGE, "send larger ones by uri"),
    ],
)
def test_bad_content_keeps_its_identity(data: dict[str, Any], reason: Reason, says: str) -> None:
    error = rejected(data)
    assert error.identity == Identity("acme", "post-17", 1)
    assert error.reason is reason
    assert says in str(error)


def test_names_the_part_at_fault() -> None:
    data = {**DATA, "parts": [TEXT, {"id": "clip.2", "modality": "video", "uri": 5}]}
    assert rejected(data).part == "clip.2"
    assert rejected({**DATA, "parts": [TEXT, {"id": "two words", "modality": "video", "uri": "s3://b/k"}]}).part is None


@pytest.mark.parametrize("key", [None, b"", b"acme|post-18", b"post-17", b"\xff"])
def test_a_key_that_is_not_the_bodys_is_refused(key: bytes | None) -> None:
    error = rejected(DATA, key=key)
    assert (error.reason, error.identity.content_id) == (Reason.INVALID_EVENT, "post-17")
    assert "key" in str(error)


def test_the_answer_to_bad_content_keeps_what_can_be_read() -> None:
    error = rejected({**DATA, "request": 7, "cause": "appeal", "parts": []})
    assert (error.request, error.cause) == (7, Cause.APPEAL)
    error = rejected({**DATA, "request": True, "cause": ["x"], "parts": []})
    assert (error.request, error.cause) == (0, Cause.UPLOAD)


def test_a_wrong_event_time_is_refused() -> None:
    assert "time" in str(rejected(DATA, time="yesterday"))
    assert "time" in str(rejected(DATA, time="0001-01-01T00:00:00+23:59"))


def test_content_ids_may_hold_a_bar() -> None:
    upload = parse(b"acme|a|b", body({**DATA, "content_id": "a|b"}), {})
    assert upload.identity.key == "acme|a|b"


def test_inline_limit_is_inclusive() -> None:
    upload = parse(KEY, body(part(modality="text", text="x" * MAX_INLINE_BYTES)), {})
    assert isinstance(upload, Upload)


def test_a_deletion_is_held_to_the_key_too() -> None:
    with pytest.raises(Rejected):
        parse(b"x", body({"tenant": "acme", "content_id": "post-17", "content_version": 2}, type=CONTENT_DELETED), {})
