"""Whatever the bytes, `parse` answers with an upload, a deletion, or one of two errors; and no content leaks into them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniguard.contracts.content_event import CONTENT_DELETED, CONTENT_EVENT, Rejected, parse
from omniguard.domain.content import Deletion, Upload
from omniguard.errors import Unidentifiable
from property.policies import LAWS

SECRET = "correct horse battery staple"
VALID = {
    "tenant": "acme",
    "content_id": "post-17",
    "content_version": 1,
    "request": 0,
    "cause": "upload",
    "deadline": "2026-11-21T10:00:30Z",
    "parts": [
        {"id": "p0", "modality": "text", "text": SECRET, "role": "caption"},
        {"id": "p1", "modality": "video", "uri": "s3://uploads/17.mp4", "sha256": "9f" * 32, "media_type": "video/mp4"},
        {"id": "p2", "modality": "image", "data": "R0lGODlh"},
    ],
    "context": [{"role": "user", "text": SECRET}],
}
KEY = b"acme|post-17"
ODD = st.sampled_from(
    [None, True, 0, -1, 2**63, 2**64, 1.5, 1e300, "", " ", "x", SECRET, "\x00", "é" * 300, [], {}, [[]], {"text": 1}, "9" * 5000]
)
JSON = st.recursive(
    ODD | st.text(max_size=5) | st.integers(),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=5), x, max_size=3),
)


def envelope(data: object, **more: object) -> bytes:
    event = {"specversion": "1.0", "type": CONTENT_EVENT, "source": "/u", "id": "1", "time": "2026-11-21T10:00:00Z", "data": data}
    return json.dumps({**event, **more}).encode()


def carry(key: bytes | None, value: bytes | None, headers: dict[str, bytes]) -> Upload | Deletion | Unidentifiable | Rejected:
    """Any other error fails the test, as does a message that would not do in a header."""
    outcome = outcome_of(key, value, headers)
    if isinstance(outcome, Exception):
        assert SECRET not in str(outcome)
        assert "\n" not in str(outcome)
        assert len(str(outcome)) < 500
    return outcome


def outcome_of(
    key: bytes | None, value: bytes | None, headers: dict[str, bytes]
) -> Upload | Deletion | Unidentifiable | Rejected:
    try:
        return parse(key, value, headers)
    except (Unidentifiable, Rejected) as error:
        return error


@LAWS
@given(
    st.none() | st.binary(max_size=20),
    st.none() | st.binary(max_size=60),
    st.dictionaries(st.sampled_from(["ce_type", "ce_specversion", "content-type", "ce_time", "x"]), st.binary(max_size=30)),
)
def test_any_bytes(key: bytes | None, value: bytes | None, headers: dict[str, bytes]) -> None:
    carry(key, value, headers)


@LAWS
@given(JSON, JSON, st.sampled_from([CONTENT_EVENT, CONTENT_DELETED, "omniguard.content-event.v2", "x", ""]))
def test_any_json(data: object, time: object, kind: str) -> None:
    carry(KEY, envelope(data, time=time, type=kind), {})


@LAWS
@given(st.data(), ODD)
def test_one_field_replaced_or_removed(data: st.DataObject, odd: object) -> None:
    changed = json.loads(json.dumps(VALID))
    holder: object = changed
    while True:
        step = data.draw(st.sampled_from(sorted(holder)) if isinstance(holder, dict) else st.integers(0, len(holder) - 1))
        if isinstance(holder[step], dict | list) and holder[step] and data.draw(st.booleans()):
            holder = holder[step]
            continue
        break
    if isinstance(holder, dict) and data.draw(st.booleans()):
        del holder[step]
    else:
        holder[step] = odd
    carry(KEY, envelope(changed), {})


@LAWS
@given(st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_broken_bytes_in_a_valid_event(at: int, noise: bytes) -> None:
    value = envelope(VALID)
    carry(KEY, value[:at] + noise + value[at + len(noise) :], {})
    carry(KEY, value[:at], {})


@pytest.mark.parametrize(
    "value", [b"[" * 100_000, b'{"data":' * 50_000, b'"' + b"\\u0000" * 10, b"\xed\xa0\x80", b"NaN", b"1e999"]
)
def test_bytes_that_break_parsers(value: bytes) -> None:
    assert isinstance(carry(KEY, value, {}), Unidentifiable)
