"""Pods killed and a node drained under a stream of uploads: nothing is lost, and how soon answers come again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from kubernetes.conftest import Service
from kubernetes.kube import Kube, until
from kubernetes.table import Step, note
from kubernetes.uploads import PATIENCE, Uploads

WANTED = {"worker-live": 2, "worker-backfill": 1, "worker-late": 1, "triton": 2}


@pytest.mark.parametrize(("component", "what"), [("worker-live", "worker pod killed"), ("triton", "Triton pod killed")])
async def test_killed_pod_loses_nothing(service: Service, uploads: Callable[..., Uploads], component: str, what: str) -> None:
    async with uploads() as stream:
        await stream.flows()
        victim = service.kube.pods(component)[0]["metadata"]["name"]
        fault = time.monotonic()
        await asyncio.to_thread(service.kube.kubectl, "delete", "pod", victim, "--force", "--grace-period=0", "--wait=false")
        await asyncio.to_thread(_whole_again, service.kube)
        whole = time.monotonic() - fault
        outcome = await stream.outcome(fault)
    done = "one of two by `kubectl delete pod --force --grace-period=0`, until all are ready again"
    note(Step.of(what, done, whole, outcome))


async def test_drained_node_loses_nothing(service: Service, uploads: Callable[..., Uploads]) -> None:
    kube = service.kube
    nodes = [n["metadata"]["name"] for n in kube.get("nodes")["items"] if not n["spec"].get("unschedulable")]
    assert len(nodes) > 1, f"found {len(nodes)} node that takes pods, expected two at least: nothing can move from one to another"
    node = kube.pods("triton")[0]["spec"]["nodeName"]
    try:
        async with uploads() as stream:
            await stream.flows()
            fault = time.monotonic()
            ours = (
                "--pod-selector",
                "app.kubernetes.io/instance=omniguard",
                "--force",
                "--ignore-daemonsets",
                "--delete-emptydir-data",
            )
            await asyncio.to_thread(kube.kubectl, "drain", node, *ours, "--timeout=240s", seconds=250.0)
            drained = time.monotonic() - fault
            await asyncio.to_thread(_whole_again, kube)
            outcome = await stream.outcome(fault)
        left = [p["metadata"]["name"] for p in kube.items("pods") if p["spec"]["nodeName"] == node]
        assert not left, f"{left} are on the drained {node} still"
    finally:
        kube.kubectl("uncordon", node)
    note(Step.of("node drained", "`kubectl drain` under PodDisruptionBudgets, until it returns", drained, outcome))


def _ready(kube: Kube) -> dict[str, int]:
    return {component: kube.ready(component) for component in WANTED}


def _whole_again(kube: Kube) -> None:
    until(lambda: _ready(kube) == WANTED, PATIENCE, lambda: f"every pod is ready again; ready: {_ready(kube)}")
