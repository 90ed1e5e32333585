"""What an event can be and meet by itself: versions, deletions, deadlines that passed, records nobody can read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from faults.harness import Installation, eventually
from omniguard.domain.lane import Lane

pytestmark = pytest.mark.stack


async def test_two_versions_of_one_content_in_one_window_are_answered_in_order(installation: Installation) -> None:
    await installation.create(partitions=1)
    await installation.start()
    await installation.upload("post", "hold:v1 hateword", content_version=1)
    await installation.upload("post", "hello", content_version=2)
    await installation.upload("other", "hello")
    await installation.until_started("v1")
    await installation.observer.until(lambda seen: seen.verdicts_of("other"))
    assert not installation.observer.seen.verdicts_of("post")
    installation.go("v1")
    await installation.all_ended(3)
    await installation.check()
    assert [v.content_version for v in installation.observer.seen.verdicts_of("post")] == [1, 2]


@pytest.mark.long
async def test_a_redelivery_after_its_deadline_does_not_displace_the_final(installation: Installation) -> None:
    """The late lane repeats the final, and so the critique that was cut off is written after all."""
    await installation.create(partitions=1)
    worker = await installation.start(worker__live_seconds="3")
    await installation.upload("post", "explain:post hateword")
    deadline = datetime.now(UTC) + timedelta(seconds=3)
    await installation.until_started("post")
    await installation.observer.until(lambda seen: seen.verdicts_of("post"))
    await worker.kill()
    await installation.check_killed()
    await eventually(lambda: datetime.now(UTC) > deadline, 30, "the deadline")
    installation.go("post")
    await installation.start(worker__live_seconds="3")
    await installation.observer.until(lambda seen: seen.lanes[Lane.LATE], what="the deferral")
    await installation.start(Lane.LATE)
    await installation.observer.until_committed(lanes=(Lane.LIVE, Lane.LATE))
    await installation.check()
    assert {v.status for v in installation.observer.seen.verdicts} == {"final", "indeterminate"}


async def test_a_deletion_cancels_work_and_is_answered(installation: Installation) -> None:
    await installation.create(partitions=1)
    await installation.start()
    await installation.upload("gone", "hold:gone hateword")
    await installation.upload("gone", "hateword", content_version=2)
    await installation.upload("stays", "hold:stays hello")
    await installation.until_started("gone")
    await installation.until_started("stays")
    await installation.delete("gone", version=2)
    await installation.observer.until(lambda seen: seen.verdicts_of("gone"))
    assert [v.status for v in installation.observer.seen.verdicts_of("gone")] == ["retracted"]
    installation.go("stays")
    await installation.observer.until_committed()
    await installation.check()
    assert [v.status for v in installation.observer.seen.verdicts_of("gone")] == ["retracted"]


@pytest.mark.long
async def test_a_deletion_answers_the_critique_that_was_being_written(installation: Installation) -> None:
    await installation.create(partitions=1)
    await installation.start()
    await installation.upload("gone", "explain:gone hateword")
    await installation.until_started("gone")
    await installation.delete("gone")
    await installation.observer.until(lambda seen: len(seen.critiques) == 1, what="the critique's answer")
    await installation.observer.until_committed()
    await installation.check()
    assert installation.observer.seen.critiques[0].none == "unavailable"


@pytest.mark.long
async def test_a_deletion_of_an_older_version_leaves_a_newer_one_alone(installation: Installation) -> None:
    """Retracting version 1 says nothing of version 2, so version 2 is owed its verdict."""
    await installation.create(partitions=1)
    await installation.start()
    await installation.upload("post", "hold:post hateword", content_version=2)
    await installation.until_started("post")
    await installation.delete("post", version=1)
    installation.go("post")
    await installation.observer.until_committed()
    await installation.check()
    assert {v.status for v in installation.observer.seen.verdicts} == {"final", "retracted"}


async def test_records_that_nobody_can_read(installation: Installation) -> None:
    """Each costs itself alone: one dead letter, and a verdict where it can be addressed."""
    await installation.create(partitions=1)
    worker = await installation.start()
    event = _event("poor")
    poison: list[tuple[bytes | None, bytes | None, dict[str, bytes | None], bool]] = [
        (None, b"", {}, False),
        (b"acme|null-value", None, {}, False),
        (b"acme|empty", b"", {}, False),
        (b"acme|no-json", b"\xff\x00{", {}, False),
        (b"acme|deep", b"[" * 100_000, {}, False),
        (b"acme|marker", b"omniguard.content-deleted.v1", {}, False),
        (b"acme|marker", b'{"type":"omniguard.content-deleted.v1","specversion":"1.0","data":' + b"[" * 5000, {}, False),
        (b"acme|major", orjson.dumps({**event, "type": "omniguard.content-event.v2"}), {}, False),
        (b"acme|null-header", b"{}", {"ce_type": None, "traceparent": None}, False),
        (b"acme|odd-header", b"{}", {"ce_type": b"\xff\xfe", "content-type": b"\xff"}, False),
        (None, orjson.dumps(event), {}, True),
        (b"acme|wrong-key", orjson.dumps(_event("wrong-key-2")), {}, True),
        (b"acme|bad-parts", orjson.dumps(_event("bad-parts", parts=[{"id": "p0", "modality": "smell"}])), {}, True),
        (b"acme|bad-time", orjson.dumps({**_event("bad-time"), "time": "9999-12-31T23:59:59-23:59"}), {}, True),
        (b"acme|bad-deadline", orjson.dumps(_event("bad-deadline", deadline="0001-01-01T00:00:00+23:59")), {}, True),
        (b"nobody|stranger", orjson.dumps(_event("stranger", tenant="nobody")), {}, True),
        (b"acme|padded", b" " * 3_000_000 + orjson.dumps(_event("padded")), {}, True),
    ]
    for number, (key, value, headers, _) in enumerate(poison):
        await installation.upload(f"good{number}", "hateword" if number % 2 else "hello")
        await installation.raw(key, value, headers=list(headers.items()))
    await installation.upload("last", "hello")
    answered = sum(known for *_, known in poison)
    await installation.observer.until(lambda seen: seen.ended() == len(poison) + 1 + answered)
    await installation.observer.until_committed()
    await installation.check()
    assert len(installation.observer.seen.dead_letters) == len(poison)
    assert worker.alive


@pytest.mark.long
async def test_a_header_whose_name_is_not_utf8_costs_nobody_a_verdict(installation: Installation) -> None:
    """The client's parser fails at it; the record, its batch and its partition go on."""
    await installation.create(partitions=1)
    worker = await installation.start()
    await installation.upload("before", "hello")
    await installation.misnamed(*((f"acme|{name}".encode(), orjson.dumps(_event(name))) for name in ("one", "two", "three")))
    await installation.misnamed((b"acme|four", b"no event"))
    await installation.upload("after", "hello")
    await installation.observer.until(lambda seen: seen.ended() == 5 and seen.dead_letters)
    await installation.observer.until_committed()
    await installation.check()
    assert len(installation.observer.seen.dead_letters) == 1
    assert worker.alive


async def test_what_is_over_the_quota_goes_to_the_backfill_lane_and_is_answered_there(installation: Installation) -> None:
    await installation.create(partitions=1)
    await installation.start()
    await installation.start(Lane.BACKFILL)
    for number in range(12):
        await installation.upload(f"c{number}", "hateword", tenant="small")
    await installation.all_ended(12)
    await installation.observer.until_committed(lanes=(Lane.LIVE, Lane.BACKFILL))
    report = await installation.check()
    assert report.events > 12
    assert report.duplicates == 0


def _event(content_id: str, **data: object) -> dict[str, object]:
    body = {
        "tenant": "acme",
        "content_id": content_id,
        "content_version": 1,
        "parts": [{"id": "p0", "modality": "text", "text": "hello"}],
        **data,
    }
    return {"specversion": "1.0", "type": "omniguard.content-event.v1", "source": "/uploads", "id": "1", "data": body}
