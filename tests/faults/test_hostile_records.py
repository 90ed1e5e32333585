"""Hostile records on a genuine broker cost a genuine worker nothing but themselves."""

from __future__ import annotations

import asyncio
import os

import pytest

from faults.harness import Installation
from hostile_events import SECRET, hostile

pytestmark = [pytest.mark.stack, pytest.mark.long]
RECORDS = int(os.environ.get("FUZZ_RECORDS", "300"))


async def test_a_flood_of_hostile_records(installation: Installation) -> None:
    """The first of those that tests/fuzz carries in memory; here batches, compression, null values and the client are real."""
    await installation.create(partitions=2)
    worker = await installation.start(worker__dead_letter_ratio="1.0", worker__dead_letter_run="0")
    drawn = [hostile(installation.seed, number) for number in range(RECORDS)]
    for begin in range(0, RECORDS, 50):
        await asyncio.gather(
            *(installation.raw(each.key, each.value, headers=list(each.headers.items())) for each in drawn[begin : begin + 50])
        )
    await installation.upload("last", "hateword")
    await installation.observer.until_committed()
    await installation.check()
    seen = installation.observer.seen
    assert worker.alive
    assert seen.verdicts_of("last")
    assert len(seen.dead_letters) > RECORDS // 4
    assert {letter.error for letter in seen.dead_letters} >= {"Unidentifiable", "invalid_event"}
    assert "internal_error" not in {letter.error for letter in seen.dead_letters}
    assert not [letter.reason for letter in seen.dead_letters if SECRET in letter.reason]
    named = {each.content_id for each in drawn if each.named is True}
    assert named <= {verdict.content_id for verdict in seen.verdicts}
    assert SECRET not in worker.log.read_text(errors="replace")
