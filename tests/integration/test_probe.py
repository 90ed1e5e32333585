"""`omniguard probe` against the genuine broker: a real worker answers it, or somebody who answers badly, late or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from faults.harness import Installation
from faults.nursery import Nursery
from integration.test_cli_kafka import omniguard
from omniguard.adapters.topics_admin import TopicsAdmin
from omniguard.contracts.content_event import parse
from omniguard.contracts.topics import Topics
from omniguard.contracts.verdict import TYPE
from omniguard.domain.content import Upload
from omniguard.domain.lane import Lane
from omniguard.domain.taxonomy import holds_test_phrase
from omniguard.entrypoints.probing import Expect, Outcome, Step, probe
from omniguard.settings import KafkaSettings
from unit.entrypoints.test_watch import verdict

pytestmark = pytest.mark.stack
HARM = {"action": "block", "categories": [{"name": "test", "score": 1.0, "severity": "low", "named": True, "assessed": True}]}
HARM["categories"][0]["modalities"] = ["text"]  # type: ignore[index]
RIGHT = {"harmless": {"action": "allow"}, "harmful": HARM}


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    made = Nursery(tmp_path_factory.mktemp("exit-codes"))
    yield made
    made.close()


async def probed(url: str, topics: Topics, seconds: float, expect: Expect = Expect.RIGHT) -> dict[str, Outcome]:
    settings = KafkaSettings(bootstrap=url, topic_prefix=topics.prefix)
    return {each.name: each for each in await probe(settings, Lane.LIVE, expect, seconds)}


@asynccontextmanager
async def answering(url: str, topics: Topics, answers: dict[str, dict[str, Any]]) -> AsyncIterator[None]:
    """In the place of the workers: answers each upload as its name says; none where it says nothing. Commits always."""
    consumer = AIOKafkaConsumer(
        topics.content(Lane.LIVE), bootstrap_servers=url, group_id=topics.group(Lane.LIVE), auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(bootstrap_servers=url)
    await consumer.start()
    await producer.start()

    async def answer() -> None:
        async for record in consumer:
            event = parse(record.key, record.value, dict(record.headers))
            assert isinstance(event, Upload)
            name = "harmful" if holds_test_phrase(event.parts[0].text or "") else "harmless"
            if name in answers:
                said = verdict(event.identity.content_id, tenant="_omniguard", **{"enforce": False, **answers[name]})
                body = {"specversion": "1.0", "type": TYPE, "source": "/omniguard", "id": said.verdict_id, "subject": said.key}
                body |= {"time": "2026-11-21T10:00:00Z", "data": said.model_dump(mode="json")}
                await producer.send_and_wait(topics.verdicts, orjson.dumps(body), said.key.encode())
            await consumer.commit()

    task = asyncio.create_task(answer())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await consumer.stop()
        await producer.stop()


async def test_a_real_worker_answers_both_without_listing_the_tenant(
    nursery: Nursery, kafka_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with Installation(nursery, kafka_url, topic_prefix, tmp_path, seed=1) as installation:
        await installation.create(partitions=2)
        await installation.start()
        where = ("--kafka", kafka_url, "--prefix", topic_prefix, "--deadline", "60")
        done = await asyncio.to_thread(omniguard, "probe", "--json", *where)
        found = await probed(kafka_url, installation.topics, 60)
    assert done.returncode == 0, done.stdout + done.stderr
    uploads = json.loads(done.stdout)["uploads"]
    assert [(u["name"], u["step"], u["verdict"]["enforce"]) for u in uploads] == [
        ("harmless", "right", False),
        ("harmful", "right", False),
    ]
    assert [u["verdict"]["policy"]["id"] for u in uploads] == ["_omniguard", "_omniguard"]
    assert {each.step for each in found.values()} == {Step.RIGHT}, found
    assert all(each.verdict is not None and not each.verdict.cache.hit for each in found.values())


async def test_without_a_worker_it_says_that_nobody_is_in_the_group(kafka_url: str, topics: Topics) -> None:
    done = await asyncio.to_thread(
        omniguard, "probe", "--kafka", kafka_url, "--prefix", topics.prefix, "--deadline", "2", "--json"
    )
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert (report["right"], [u["step"] for u in report["uploads"]]) == (False, ["not_consumed", "not_consumed"])
    for upload in report["uploads"]:
        assert f"taken into {topics.content(Lane.LIVE)} {upload['partition']}/{upload['offset']}" in upload["message"]
        assert f"group {topics.group(Lane.LIVE)} has committed nothing" in upload["message"]
        assert "no worker is in the group" in upload["message"]


async def test_right_answers_are_right(kafka_url: str, topics: Topics) -> None:
    async with answering(kafka_url, topics, RIGHT):
        found = await probed(kafka_url, topics, 60)
    assert {each.step for each in found.values()} == {Step.RIGHT}


async def test_what_nobody_answers_and_the_group_has_passed(kafka_url: str, topics: Topics) -> None:
    async with answering(kafka_url, topics, {}):
        found = await probed(kafka_url, topics, 3)
    assert {each.step for each in found.values()} == {Step.NO_VERDICT}
    assert "has committed past it, and no verdict came (no answer within 3 s)" in found["harmless"].message


async def test_a_passing_reason_is_waited_on_and_then_told(kafka_url: str, topics: Topics) -> None:
    problem = {"part": "p0", "reason": "guard_unavailable", "message": "no server answers"}
    away = {"status": "indeterminate", "action": "review", "reason": "guard_unavailable", "problems": [problem]}
    async with answering(kafka_url, topics, {"harmless": away, "harmful": HARM}):
        found = await probed(kafka_url, topics, 3)
    assert (found["harmless"].step, found["harmful"].step) == (Step.INDETERMINATE, Step.RIGHT)
    assert "guard_unavailable (no server answers), expected a final verdict" in found["harmless"].message


async def test_what_the_guard_gets_wrong_is_wrong_unless_any_final_verdict_will_do(kafka_url: str, topics: Topics) -> None:
    async with answering(kafka_url, topics, {"harmless": {"action": "allow"}, "harmful": {"action": "allow"}}):
        strict = await probed(kafka_url, topics, 60)
        lenient = await probed(kafka_url, topics, 60, Expect.FINAL)
    assert (strict["harmless"].step, strict["harmful"].step) == (Step.RIGHT, Step.WRONG)
    assert "found allow, expected review or block for test" in strict["harmful"].message
    assert {each.step for each in lenient.values()} == {Step.RIGHT}


async def test_a_broker_that_does_not_take_it(kafka_url: str, topic_prefix: str) -> None:
    topics = Topics(topic_prefix)
    small = [replace(each, max_message_bytes=10) for each in topics.all]
    async with TopicsAdmin({"bootstrap_servers": kafka_url}) as admin:
        await admin.apply(small)
    found = await probed(kafka_url, topics, 60)
    assert {each.step for each in found.values()} == {Step.NOT_TAKEN}
    assert "by the broker at" in found["harmless"].message
    assert "MessageSizeTooLargeError" in found["harmless"].message


def test_no_broker_and_no_topics(kafka_url: str) -> None:
    away = omniguard("probe", "--kafka", "127.0.0.1:9")
    assert (away.returncode, "found no broker at 127.0.0.1:9" in away.stderr) == (1, True)
    bare = omniguard("probe", "--kafka", kafka_url, "--prefix", "nobody-made-these.")
    assert (bare.returncode, "omniguard topics apply" in bare.stderr) == (2, True)
