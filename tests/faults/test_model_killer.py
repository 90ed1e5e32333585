"""Uploads that kill the model's process in genuine Triton, beside others that are under way: the killers alone are suspects."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from faults import table
from faults.harness import Installation
from faults.nursery import Nursery
from faults.supervised import Server, served
from faults.table import Fault
from faults.worker import eventually
from omniguard.devstack import Stack
from omniguard.domain.lane import Lane
from omniguard.entrypoints.supervisor import Rules
from omniguard.stages.trials import MAX_DEATHS

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(300)]

TENANTS = "tenants: {acme: {policy: lite-demo, policy_epoch: 1}}\n"


@pytest.fixture
async def server(own_stack: Callable[..., Stack], tmp_path: Path) -> AsyncIterator[Server]:
    async with served(own_stack, tmp_path / "model") as made:
        yield made


@pytest.mark.parametrize("killers", [1, 3])
async def test_killers_are_answered_as_suspects_and_all_others_finally(
    server: Server, nursery: Nursery, kafka_url: str, topic_prefix: str, tmp_path: Path, seed: int, killers: int
) -> None:
    others = 24 * killers
    async with (
        server.kept_up(),
        server.supervised(Rules()) as (_, metrics),
        Installation(nursery, kafka_url, topic_prefix, tmp_path / "i", seed=seed, tenants=TENANTS) as installation,
    ):
        await installation.create(partitions=2)
        settings = {"triton__addresses": server.address, "worker__live_seconds": "45"}
        workers = [await installation.start(lane, **settings) for lane in (Lane.LIVE, Lane.LATE)]
        for number in range(others // 2):
            await installation.upload(f"c{number}", f"takes:0.2 {number}")
        began = time.monotonic()
        for number in range(killers):
            await installation.upload(f"killer{number}", f"kills:{number}")
        for number in range(others // 2, others):
            await installation.upload(f"c{number}", f"takes:0.2 {number}")
        await installation.observer.until(
            lambda seen: (
                len({v.key for v in seen.verdicts if v.status == "final"}) == others
                and len({v.key for v in seen.verdicts if v.reason == "crash_suspect"}) == killers
            ),
            200,
            "a final for all but the killers",
        )
        seconds = time.monotonic() - began
        await installation.observer.until_committed(lanes=(Lane.LIVE, Lane.LATE))
        suspects = [f"killer{number}" for number in range(killers)]
        report = await installation.check(crash_suspects=suspects)
        seen = installation.observer.seen
        assert sorted(d.error for d in seen.dead_letters) == ["crash_suspect"] * killers
        killed = [len((server.control / f"kills-{number}").read_text()) for number in range(killers)]
        # Of the deaths that count against it some may be another killer's; the last is its own.
        assert all(1 <= each <= MAX_DEATHS for each in killed), killed
        deaths = sum(killed)
        # Answers do not wait for the supervisor, and where two deaths come close one reload serves both.
        await eventually(lambda: metrics.value("omniguard_model_state", kind="healthy"), 60, "a healthy model")
        assert metrics.value("omniguard_model_faults_total", kind="dead") >= 1
        assert all(worker.alive for worker in workers)
        print(f"{killers} killers among {others}: {deaths} deaths, all answered after {seconds:.1f} s")
        table.note(
            Fault(
                "triton",
                "an upload kills the model's process",
                f"{killers} such among {others}; each killed it {MAX_DEATHS} times at most, is a crash_suspect; others are final",
                events=report.events,
                duplicates=report.duplicates,
                rest_seconds=seconds,
            )
        )
