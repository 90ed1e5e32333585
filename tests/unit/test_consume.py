"""The enforcing side's timer, and the table in memory."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from omniguard.consume import EnforcementTimer, VerdictData, VerdictTable, decode, newer

EXAMPLES = Path("docs/contract/examples")


def example(status: str, **changes: object) -> VerdictData:
    event = orjson.loads((EXAMPLES / f"verdict-{status}.json").read_bytes())["value"]
    event["data"].update(changes)
    return decode(orjson.dumps(event), {})


class Silence:
    """Collects what the timer reports, and lets a test wait for it."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []
        self.event = asyncio.Event()

    def __call__(self, key: str, content_version: int) -> None:
        self.heard.append((key, content_version))
        self.event.set()


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(milliseconds=20)


def timer_over(table: VerdictTable) -> tuple[EnforcementTimer, Silence]:
    silence = Silence()
    return EnforcementTimer(table.get, silence), silence


async def due(timer: EnforcementTimer) -> None:
    """Wait until no deadline is ahead."""
    async with asyncio.timeout(10):
        while len(timer):  # noqa: ASYNC110  the timer tells nobody when nothing is to be told
            await asyncio.sleep(0.005)


async def test_reports_silence_once() -> None:
    timer, silence = timer_over(VerdictTable())
    timer.expect("acme|post-17", 1, soon())
    await asyncio.wait_for(silence.event.wait(), 10)
    await due(timer)
    assert silence.heard == [("acme|post-17", 1)]


async def test_an_answer_before_or_after_expecting_keeps_it_quiet() -> None:
    for status in ("final", "indeterminate", "retracted"):
        table = VerdictTable()
        timer, silence = timer_over(table)
        table.apply(example(status))
        timer.expect("acme|post-17", 1, soon())
        await due(timer)
        late_table = VerdictTable()
        late_timer, late_silence = timer_over(late_table)
        late_timer.expect("acme|post-17", 1, soon())
        late_table.apply(example(status))
        await due(late_timer)
        assert (silence.heard, late_silence.heard) == ([], [])


async def test_a_provisional_verdict_is_no_answer() -> None:
    table = VerdictTable()
    timer, silence = timer_over(table)
    table.apply(example("provisional"))
    timer.expect("acme|post-17", 1, soon())
    await due(timer)
    assert silence.heard == [("acme|post-17", 1)]


async def test_an_answer_to_an_older_version_is_none_and_to_a_later_one_is() -> None:
    table = VerdictTable()
    timer, silence = timer_over(table)
    table.apply(example("final", content_version=2))
    timer.expect("acme|post-17", 3, soon())
    timer.expect("acme|post-17", 1, soon())
    await due(timer)
    assert silence.heard == [("acme|post-17", 3)]


async def test_a_deadline_in_the_past_is_due_at_once() -> None:
    timer, silence = timer_over(VerdictTable())
    timer.expect("acme|post-17", 1, datetime.now(UTC) - timedelta(hours=1))
    await asyncio.wait_for(silence.event.wait(), 10)


async def test_expecting_again_moves_the_deadline_and_closing_forgets_it() -> None:
    timer, silence = timer_over(VerdictTable())
    timer.expect("acme|post-17", 1, datetime.now(UTC))
    timer.expect("acme|post-17", 1, datetime.now(UTC) + timedelta(hours=1))
    await asyncio.sleep(0)
    assert (len(timer), silence.heard) == (1, [])
    timer.close()
    assert len(timer) == 0


def test_table_keeps_the_newest() -> None:
    table = VerdictTable()
    assert table.apply(example("provisional"))
    assert table.apply(example("indeterminate"))
    assert table.apply(example("final"))
    assert not table.apply(example("indeterminate"))
    assert table.apply(example("retracted"))
    assert not table.apply(example("final"))
    standing = table.get("acme|post-17")
    assert standing is not None
    assert (standing.status, len(table)) == ("retracted", 1)
    assert not newer(example("final", policy_epoch=5), standing.order), "a later policy does not bring a deleted version back"
    assert newer(example("final", content_version=2), standing.order)
