"""Upgrades under a constant stream of uploads that give 60 seconds for their verdicts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from kubernetes.conftest import Service
from kubernetes.kube import Kube
from kubernetes.table import Step, note
from kubernetes.uploads import Uploads

ROLLED = ("worker-live", "worker-backfill", "worker-late", "triton")

REFUSED = {"name": "OMNIGUARD_WORKER__FETCH_CONCURRENCY", "value": "none"}
"""A setting with which no worker starts; the chart's schema knows better, so it comes past it."""


async def test_rolling_upgrade_loses_nothing_and_leaves_nothing_undecided(
    service: Service, uploads: Callable[..., Uploads]
) -> None:
    before = _names(service.kube)
    async with uploads() as stream:
        await stream.flows()
        again = {"omniguard.test/rollout": str(time.time())}
        took = await asyncio.to_thread(service.upgrade, workers__common__podAnnotations=again, triton__podAnnotations=again)
        await stream.flows()
        outcome = await stream.outcome()
    assert before.isdisjoint(_names(service.kube)), "some pods were not replaced"
    assert outcome.indeterminate == 0, outcome
    assert not service.kube.restarts()
    note(Step.of("rolling upgrade", "every pod replaced by a new one, `maxUnavailable` 0, two Tritons", took, outcome))


async def test_broken_upgrade_is_rolled_back_while_uploads_go_on(service: Service, uploads: Callable[..., Uploads]) -> None:
    """Workers that refuse their settings, and Tritons whose image is nowhere."""
    before = _names(service.kube)
    async with uploads() as stream:
        await stream.flows()
        began = time.monotonic()
        said = await asyncio.to_thread(
            service.upgrade_fails, 40, image__triton__tag="absent", workers__common__extraEnv=[REFUSED]
        )
        took = time.monotonic() - began
        await stream.flows()
        outcome = await stream.outcome()
    assert "failed" in said.lower(), said
    history = service.kube.helm("history", "omniguard", "--output", "json")
    assert "Rollback to" in history, history
    assert outcome.indeterminate == 0, outcome
    assert not service.kube.restarts()
    assert before & _names(service.kube), "no pod of the working version lived on"
    note(Step.of("broken upgrade", "invalid settings and an image that is not there, `--rollback-on-failure`", took, outcome))


def _names(kube: Kube) -> set[str]:
    return {pod["metadata"]["uid"] for component in ROLLED for pod in kube.pods(component)}
