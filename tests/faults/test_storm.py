"""Everything at once, again and again, on three brokers: short in `make test`, longer in CI, longest by `make faults`."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster import Cluster
from faults import table
from faults.harness import Installation
from faults.invariants import assert_kept, check_invariants
from faults.nursery import Nursery
from faults.observer import Seen
from faults.storm import Size, Storm
from faults.table import Fault
from faults.tally import Tally
from omniguard.contracts.critique import CritiqueData
from omniguard.contracts.dead_letter import DeadLetterHeaders
from omniguard.contracts.verdict import VerdictData
from omniguard.devstack import Stack
from omniguard.domain.lane import Lane
from omniguard.domain.record import Record

pytestmark = [pytest.mark.stack, pytest.mark.storm, pytest.mark.timeout(14_400)]  # a storm that stands still says so itself

PARTITIONS = 6
KEPT_WHOLE = 5_000
"""Runs of so many events are also checked by the invariants that keep every record."""


class Both:
    """Notes for a tally and for those who want every record."""

    def __init__(self, *notes: Tally | Seen) -> None:
        self._notes = notes

    def event(self, lane: Lane, record: Record) -> None:
        for each in self._notes:
            each.event(lane, record)

    def verdict(self, said: VerdictData) -> None:
        for each in self._notes:
            each.verdict(said)

    def critique(self, said: CritiqueData) -> None:
        for each in self._notes:
            each.critique(said)

    def dead_letter(self, headers: DeadLetterHeaders, record: Record) -> None:
        for each in self._notes:
            each.dead_letter(headers, record)


async def test_storm(
    nursery: Nursery, cluster: Cluster, own_stack: Callable[..., Stack], topic_prefix: str, tmp_path: Path, seed: int
) -> None:
    """Every event ends, offsets reach the end, no final is displaced, and every promised critique is answered."""
    size, tally, seen = Size.of_environment(), Tally(), Seen()
    print(f"seed {seed}: {size.events:,} events, {size.kills} kills, {size.rebalances} rebalances", flush=True)
    redis = own_stack(parts=("redis",))
    url = (await asyncio.to_thread(redis.up)).redis
    await asyncio.to_thread(cluster.mend)
    notes = Both(tally, seen) if size.events <= KEPT_WHOLE else tally
    began = time.monotonic()
    async with Installation(
        nursery, cluster.bootstrap, topic_prefix, tmp_path, seed=seed, redis=url, notes=notes
    ) as installation:
        await installation.create(partitions=PARTITIONS)
        await cluster.whole()
        storm = Storm(installation, tally, cluster, redis, size)
        await storm.run()
    seconds = time.monotonic() - began
    report = tally.report()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{seconds:.0f} s; did {storm.did}; verdicts {tally.verdicts}, reasons {dict(tally.reasons)}, suspects "
        f"{len(tally.suspects)}, not final {tally.not_final}; this process held {peak} MB at most"
    )
    assert_kept(report, seed=seed)
    assert sum(storm.did.values()) == len(size.plan(installation.random))
    assert storm.did.get("kill -9", 0) >= 3 or not tally.suspects, (
        f"seed {seed}: suspected with fewer than three deaths: {tally.suspects}"
    )
    if size.events <= KEPT_WHOLE:
        whole = check_invariants(seen, seed=seed, crash_suspects=tally.suspects)
        assert (whole.events, whole.duplicates) == (report.events, report.duplicates)
    done = f"{size.kills} kills (kill -9 or SIGTERM), {size.rebalances} rebalances, Redis and brokers disturbed"
    table.note(Fault("all", "storm", done, report.events, 0, report.duplicates))
