"""New Tritons take their part of the uploads, and a GPU is asked of the scheduler."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from ruamel.yaml import YAML

from kubernetes.conftest import CHART, VALUES, Service
from kubernetes.kube import Kube, Object, flags, until
from kubernetes.table import Step, note
from kubernetes.uploads import PATIENCE, Uploads
from omniguard.guard.wire import MODEL

TRITONS = 3
SPREAD_SECONDS = 30.0
GPU = "omniguard.test/gpu"
"""A resource that no real node has, so that the test means the same everywhere."""


async def test_new_tritons_take_their_part_within_thirty_seconds(service: Service, uploads: Callable[..., Uploads]) -> None:
    kube = service.kube
    await asyncio.to_thread(service.upgrade, triton__replicas=1)
    until(lambda: len(kube.pods("triton")) == 1, PATIENCE, "one Triton is left")
    async with uploads(4.0) as stream:
        await stream.flows()
        await asyncio.to_thread(service.upgrade, triton__replicas=TRITONS)
        before = {p["metadata"]["name"]: _asked(kube, p) for p in kube.pods("triton")}
        assert len(before) == TRITONS
        all_asked = lambda: all(_asked(kube, p) > before[p["metadata"]["name"]] for p in kube.pods("triton"))  # noqa: E731
        spread = await asyncio.to_thread(until, all_asked, SPREAD_SECONDS, lambda: f"all are asked; before: {before}")
        outcome = await stream.outcome()
    assert outcome.indeterminate == 0, outcome
    note(Step.of("Triton 1 → 3", "seconds from three ready Tritons to all three being asked", spread, outcome))


def test_gpu_is_asked_of_the_scheduler(service: Service) -> None:
    """Only the asking: what is rendered is scheduled where the resource is, past its taint, and nowhere else. No GPU is used."""
    kube, node = service.kube, service.kube.get("nodes")["items"][-1]["metadata"]["name"]
    model = {"source": "download", "download": {"url": "https://models.example.org/guard.tar", "sha256": "0" * 64}}
    engine = {"name": "vllm", "parameters": {}}
    gpu = flags(
        {"kafka.bootstrap": "kafka:9092", "model": model, "triton.engine": engine, "triton.gpu": {"count": 1, "resource": GPU}}
    )
    rendered = kube.helm("template", "gpu", str(CHART), "--values", str(VALUES), *gpu)
    objects = [o for o in YAML(typ="safe").load_all(rendered) if o]
    (owner,) = [o for o in objects if o["kind"] == "Deployment" and o["metadata"]["name"].endswith("-triton")]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "gpu"}, "spec": owner["spec"]["template"]["spec"]}
    pod["spec"].pop("serviceAccountName", None)  # of a release that is not installed
    try:
        kube.kubectl("apply", "-f", "-", given=json.dumps(pod))
        until(lambda: GPU in _scheduled(kube).get("message", ""), PATIENCE, "the pod waits for a GPU")
        kube.kubectl("taint", "node", node, f"{GPU}=present:NoSchedule")
        _patch(kube, node, "1")
        until(lambda: _scheduled(kube)["status"] == "True", PATIENCE, "the pod has a node")
        assert kube.get("pod", "gpu")["spec"]["nodeName"] == node
    finally:
        kube.kubectl("delete", "pod", "gpu", "--ignore-not-found", "--force", "--grace-period=0")
        kube.kubectl("taint", "node", node, f"{GPU}-", check=False)
        _patch(kube, node, None)


def _scheduled(kube: Kube) -> Object:
    conditions = kube.get("pod", "gpu")["status"].get("conditions", ())
    return next((c for c in conditions if c["type"] == "PodScheduled"), {})


def _patch(kube: Kube, node: str, count: str | None) -> None:
    there = json.dumps({"status": {"capacity": {GPU: count}, "allocatable": {GPU: count}}})
    kube.kubectl("patch", "node", node, "--subresource=status", "--type=merge", "--patch", there)


def _asked(kube: Kube, pod: Object) -> int:
    """How many requests a Triton took for the guard model."""
    name = f'nv_inference_request_success{{model="{MODEL}"'
    return sum(int(float(line.split()[-1])) for line in kube.page(pod, 8002, "metrics").splitlines() if line.startswith(name))
