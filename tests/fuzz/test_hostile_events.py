"""Ten thousand hostile records through the whole pipeline over the shipped twins; each ends in exactly one of the promised ways.

By default the first two thousand; FUZZ_EVENTS=10000, as `make fuzz` sets it, takes all. FUZZ_SEED draws others.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from hostile_events import SECRET, Hostile, hostile
from omniguard.contracts import dead_letter, verdict
from omniguard.contracts.dead_letter import DeadLetterHeaders
from omniguard.contracts.verdict import VerdictData
from omniguard.domain.record import Partition, Record
from omniguard.errors import Reason
from stage_bench import Bench

EVENTS = int(os.environ.get("FUZZ_EVENTS", "2000"))
SEED = int(os.environ.get("FUZZ_SEED", "5"))
SHARDS = 4
HANGS_AFTER = 60.0
"""Seconds of this machine: not how long an event may take, but where nobody would wait any longer."""


@dataclass
class Ended:
    """What came of one record."""

    verdicts: list[VerdictData]
    letters: list[DeadLetterHeaders]
    late: int
    backfill: int

    @property
    def how(self) -> str:
        if self.verdicts:
            reason = self.verdicts[0].reason
            return reason.value if reason else self.verdicts[0].status.value
        return "deferred" if self.backfill else "dead letter"


class Watch:
    """Tells what is new on every topic of a bench."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder)
        self._seen: Counter[str] = Counter()

    async def carry(self, each: Hostile) -> Ended:
        bench = self.bench
        record = Record(Partition("content-events", 0), each.number, each.key, each.value, bench.clock.now(), each.headers)
        async with asyncio.timeout(HANGS_AFTER):
            await bench.carry(record)
        return Ended(
            [verdict.decode(m.value, m.headers) for m in self._new("verdicts")],
            [dead_letter.decode(m.headers) for m in self._new("dead-letters")],
            len(self._new("content-events.late")),
            len(self._new("content-events.backfill")),
        )

    def _new(self, topic: str) -> list:
        records = self.bench.publisher.records(topic)
        fresh = records[self._seen[topic] :]
        self._seen[topic] = len(records)
        return list(fresh)


@pytest.mark.parametrize("shard", range(SHARDS))
async def test_each_record_ends_in_one_promised_way(shard: int, tmp_path: Path) -> None:
    watch, ways, ends = Watch(tmp_path), Counter[str](), Counter[str]()
    for number in range(shard, EVENTS, SHARDS):
        if number % 1_000 < SHARDS:
            watch = Watch(tmp_path)
        each = hostile(SEED, number)
        told = f"seed {SEED}, record {number}, {each.ways}: "
        try:
            ended = await watch.carry(each)
        except Exception as error:
            raise AssertionError(f"{told}{type(error).__name__} escaped") from error
        wrong = judged(each, ended)
        assert not wrong, told + wrong
        ways.update(each.ways)
        ends[ended.how] += 1
    assert len(ways) >= 17, "some ways to be hostile were never drawn"
    assert {"final", "dead letter", "invalid_event", "too_large", "retracted"} <= set(ends), ends


def judged(each: Hostile, ended: Ended) -> str:
    """What is wrong with how a record ended; empty where nothing is."""
    told = [*(letter.reason for letter in ended.letters), *(v.explanation for v in ended.verdicts)]
    told += [problem.message for v in ended.verdicts for problem in v.problems]
    for reason in told:
        if SECRET in reason:
            return f"the reason repeats the content: {reason}"
        if not reason.isprintable() or len(reason) > 600:
            return f"the reason is no plain sentence: {reason!r}"
    if len(ended.letters) > 1 or len(ended.verdicts) > 1:
        return f"{len(ended.verdicts)} verdicts and {len(ended.letters)} dead letters"
    if not ended.verdicts:
        return _unnamed(each, ended)
    return _named(each, ended, ended.verdicts[0])


def _unnamed(each: Hostile, ended: Ended) -> str:
    if each.named is True:
        return f"whose it is was plain, and there is no verdict: {[letter.reason for letter in ended.letters]}"
    if ended.backfill + ended.late or len(ended.letters) != 1:
        return "neither verdict nor dead letter"
    (letter,) = ended.letters
    if (letter.stage, letter.error) != ("parse", "Unidentifiable"):
        return f"{letter.stage}: {letter.error}: {letter.reason}"
    if not any(word in letter.reason for word in ("expected", "send", "set", "update")):
        return f"the reason does not say what to do: {letter.reason}"
    return ""


def _named(each: Hostile, ended: Ended, found: VerdictData) -> str:
    if each.named is False:
        return f"nobody can say whose it is, and there is a verdict for {found.key}"
    if found.reason is Reason.INTERNAL:
        return f"a bug of ours: {found.explanation}"
    if found.status in ("final", "retracted"):
        return f"{found.status} with a dead letter" if ended.letters or ended.late else ""
    if found.reason is None or not found.explanation or found.action == "allow":
        return f"{found.status} {found.reason} {found.action}: {found.explanation}"
    if found.reason.passing:
        return "" if ended.late == 1 else f"{found.reason} is passing, and the late lane has {ended.late}"
    if len(ended.letters) != 1 and found.reason is not Reason.NOT_ASSESSED:
        return f"{found.reason} without a dead letter"
    return ""
