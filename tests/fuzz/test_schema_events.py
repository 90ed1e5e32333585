"""Records drawn from the published JSON Schema, and the same with one place broken: the schema and the worker agree."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

import jsonschema
import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.test_hostile_events import Watch, judged
from hostile_events import Hostile
from omniguard.contracts.content_event import Rejected, parse
from omniguard.contracts.schemas import json_schema
from omniguard.errors import Reason, Unidentifiable
from schema_strategies import allowed

SCHEMA: dict[str, Any] = json_schema("content-event.v1")
EVENTS = allowed(SCHEMA)
EXAMPLES = max(50, int(os.environ.get("FUZZ_EVENTS", "2000")) // 25)
LAWS = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
CHECK = jsonschema.Draft202012Validator(SCHEMA)
ODD = st.sampled_from([None, True, 0, -1, 2**63, 1.5, 1e308, "", " ", "\x00", "\u2028", "x" * 5_000, [], {}, [[]], {"text": 1}])


def key(event: dict[str, Any]) -> bytes:
    return f"{event['data'].get('tenant')}|{event['data'].get('content_id')}".encode()


@LAWS
@given(EVENTS)
def test_what_the_schema_allows_is_read_or_refused_for_what_no_schema_can_say(event: dict[str, Any]) -> None:
    assert CHECK.is_valid(event)
    refusal = refused(key(event), orjson.dumps(event))
    if isinstance(refusal, Rejected):
        assert refusal.reason in {Reason.INVALID_EVENT, Reason.UNSUPPORTED, Reason.TOO_LARGE}
        assert "expected" in str(refusal)
    else:
        assert refusal is None or "control" in str(refusal), str(refusal)


def refused(name: bytes, value: bytes) -> Unidentifiable | Rejected | None:
    try:
        parse(name, value, {})
    except (Unidentifiable, Rejected) as error:
        return error
    return None


@LAWS
@given(EVENTS, st.data(), ODD)
def test_one_broken_place_ends_in_one_promised_way(event: dict[str, Any], data: st.DataObject, odd: object) -> None:
    holder: Any = event
    while True:
        step = data.draw(st.sampled_from(sorted(holder)) if isinstance(holder, dict) else st.integers(0, len(holder) - 1))
        if isinstance(holder[step], dict | list) and holder[step] and data.draw(st.booleans()):
            holder = holder[step]
            continue
        break
    holder[step] = odd
    body = event["data"]
    name = key(event) if isinstance(body, dict) else b"acme|x"
    with tempfile.TemporaryDirectory() as folder:
        each = Hostile(1, event, "x", name, {}, None, orjson.dumps(event))
        wrong = judged(each, asyncio.run(_carried(Path(folder), each)))
    assert not wrong, wrong


async def _carried(folder: Path, each: Hostile):  # type: ignore[no-untyped-def]
    return await Watch(folder).carry(each)
