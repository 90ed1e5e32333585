"""docs/consuming.md, executed: its code runs as printed, over a genuine broker."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from omniguard.adapters.topics_admin import TopicsAdmin
from omniguard.consume import VerdictTable, consume, decode
from omniguard.contracts.topics import Topics
from omniguard.errors import Unidentifiable

pytestmark = pytest.mark.stack
EXAMPLES = Path("docs/contract/examples")
README = Path("README.md").read_text(encoding="utf-8")


def printed(number: int) -> dict[str, Any]:
    """The names that a code block of the page defines."""
    block = re.findall(r"```python\n(.*?)```", Path("docs/consuming.md").read_text(encoding="utf-8"), re.DOTALL)[number]
    names: dict[str, Any] = {"__name__": "consuming"}
    exec(compile(block, "docs/consuming.md", "exec"), names)  # our own page
    return names


@pytest.fixture
async def producer(kafka_url: str, topic_prefix: str) -> AsyncIterator[AIOKafkaProducer]:
    """Its topics exist."""
    async with TopicsAdmin({"bootstrap_servers": kafka_url}) as admin:
        await admin.apply(Topics(topic_prefix).all)
    client = AIOKafkaProducer(bootstrap_servers=kafka_url)
    await client.start()
    yield client
    await client.stop()


async def send(producer: AIOKafkaProducer, topic: str, *names: str) -> None:
    for name in names:
        example = orjson.loads((EXAMPLES / f"verdict-{name}.json").read_bytes())
        headers = [(k, v.encode()) for k, v in example["headers"].items()]
        await producer.send_and_wait(topic, orjson.dumps(example["value"]), example["key"].encode(), headers=headers)


async def take(verdicts: AsyncIterator[Any], count: int) -> list[Any]:
    taken = [await anext(verdicts) for _ in range(count)]
    await verdicts.aclose()  # type: ignore[attr-defined]
    return taken


async def test_the_printed_table_applies_by_the_rule(
    kafka_url: str, topic_prefix: str, producer: AIOKafkaProducer, tmp_path: Path
) -> None:
    page, topic = printed(0), f"{topic_prefix}verdicts"
    await send(producer, topic, "provisional", "final", "indeterminate", "final", "provisional", "retracted", "final")
    table = page["ModerationTable"](str(tmp_path / "moderation.sqlite"))
    lines = await take(page["enforce"](kafka_url, f"{topic_prefix}g", table, topic), 3)
    assert [line.split(" (")[0] for line in lines] == [
        "acme|post-17 is now provisional: block",
        "acme|post-17 is now final: block",
        "acme|post-17 is now retracted: allow",
    ]
    rows = table.db.execute("SELECT key, version, epoch, revision, action FROM moderation").fetchall()
    assert rows == [("acme|post-17", 1, 2147483647, 2147483647999999, "none")]


async def test_the_printed_table_agrees_with_ours_in_any_order(tmp_path: Path) -> None:
    names = ("provisional", "final", "indeterminate", "retracted")
    events = [orjson.loads((EXAMPLES / f"verdict-{n}.json").read_bytes())["value"] for n in names]
    verdicts = [decode(orjson.dumps(event), {}) for event in events]
    table_class = printed(0)["ModerationTable"]
    for i, order in enumerate(permutations(verdicts)):
        ours, theirs = VerdictTable(), table_class(str(tmp_path / f"{i}.sqlite"))
        assert [ours.apply(v) for v in order] == [theirs.apply(v) for v in order]


async def test_what_was_not_finished_is_read_again(kafka_url: str, topic_prefix: str, producer: AIOKafkaProducer) -> None:
    topic, group = f"{topic_prefix}verdicts", f"{topic_prefix}g"
    await send(producer, topic, "provisional", "final")
    first = await take(consume(kafka_url, group, topic=topic), 1)
    again = await take(consume(kafka_url, group, topic=topic), 2)
    assert [v.status.value for v in first] == ["provisional"]
    assert [v.status.value for v in again] == ["provisional", "final"]


async def test_a_record_it_cannot_read_stops_the_consumer(kafka_url: str, topic_prefix: str, producer: AIOKafkaProducer) -> None:
    topic = f"{topic_prefix}verdicts"
    await producer.send_and_wait(topic, b'{"specversion":"1.0","type":"omniguard.verdict.v2","data":{}}', b"k")
    with pytest.raises(Unidentifiable, match="another type"):
        await take(consume(kafka_url, f"{topic_prefix}g", topic=topic), 1)


async def test_a_probe_is_neither_told_nor_applied_whatever_it_says(
    kafka_url: str, topic_prefix: str, producer: AIOKafkaProducer
) -> None:
    topic = f"{topic_prefix}verdicts"
    await _send_probe(producer, topic)
    await send(producer, topic, "final")
    table = VerdictTable()
    (verdict,) = await take(consume(kafka_url, f"{topic_prefix}g", table, topic=topic), 1)
    assert (verdict.key, len(table)) == ("acme|post-17", 1)


async def _send_probe(producer: AIOKafkaProducer, topic: str) -> None:
    """One that claims to be enforced, on the partition that is read next."""
    example = orjson.loads((EXAMPLES / "verdict-final.json").read_bytes())
    example["value"]["data"] |= {"tenant": "_omniguard", "enforce": True}
    key = example["key"].encode()
    await producer.send_and_wait(topic, orjson.dumps(example["value"]), key)


async def test_ctrl_c_ends_what_the_readme_prints_without_a_traceback(
    kafka_url: str, topic_prefix: str, producer: AIOKafkaProducer
) -> None:
    block = next(b for b in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "consume(" in b)
    printed = textwrap.dedent(block).replace('"broker-1:9092", "enforcement"', f'"{kafka_url}", "{topic_prefix}g"')
    script = printed.replace("VerdictTable())", f'VerdictTable(), topic="{topic_prefix}verdicts")')
    await send(producer, f"{topic_prefix}verdicts", "final")
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert running.stdout is not None
    async with asyncio.timeout(120):
        assert await running.stdout.readline()
    running.send_signal(signal.SIGINT)
    async with asyncio.timeout(60):
        _, errors = await running.communicate()
    # A broker that has just started may have no coordinator yet, which aiokafka tells.
    told = [line for line in errors.splitlines() if b"GroupCoordinatorNotAvailableError" not in line]
    assert (running.returncode, told) == (0, [])


async def test_the_printed_timer() -> None:
    page = printed(1)
    timer = page["make_timer"]()
    page["published"](timer, "acme|post-17", 1, timedelta(milliseconds=10))
    async with asyncio.timeout(10):
        while not page["silent"]:  # noqa: ASYNC110  the page's list tells nobody
            await asyncio.sleep(0.005)
    assert page["silent"] == ["acme|post-17 v1"]
