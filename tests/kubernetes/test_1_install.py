"""The whole service comes up under PodSecurity `restricted`, and judges."""

from __future__ import annotations

import base64
import uuid

import pytest
from aiokafka import AIOKafkaProducer

from faults.observer import Observer
from kubernetes.conftest import Service
from kubernetes.kube import Kube, statuses
from kubernetes.table import Step, note
from kubernetes.uploads import PATIENCE, send
from omniguard.contracts.topics import Topics
from omniguard.contracts.verdict import VerdictData
from omniguard.domain.decision import Status
from omniguard.samples import MEDIA

COMPONENTS = {"worker-live": 2, "worker-backfill": 1, "worker-late": 1, "triton": 2}
PARTS: dict[str, tuple[list[dict[str, str]], set[str]]] = {
    "harmless-text": (
        [{"modality": "text", "text": "Sunday walk by the lake with the dogs, and ice cream afterwards."}],
        {"allow"},
    ),
    "harmful-text": ([{"modality": "text", "text": "I will come to your house with a gun and kill you all tonight."}], {"block"}),
    "harmful-picture": ([{"modality": "image", "file": "harmful-text.png", "media_type": "image/png"}], {"block", "review"}),
    "harmful-film": ([{"modality": "video", "file": "harm-begins-at-12s.mp4", "media_type": "video/mp4"}], {"block", "review"}),
}
"""What is uploaded, media inline, and the actions that may come of it; the samples of the demo say the same."""


def test_namespace_refuses_what_is_not_restricted(kube: Kube) -> None:
    said = kube.kubectl("run", "root", "--image=localhost/omniguard/worker:test", "--privileged", check=False)
    assert "violates PodSecurity" in said


def test_every_pod_is_ready_and_none_was_started_twice(service: Service) -> None:
    kube = service.kube
    assert {name: kube.ready(name) for name in COMPONENTS} == COMPONENTS
    assert not kube.restarts(), "containers were started again during the installation"
    waiting = [s["state"] for pod in kube.items("pods") for s in statuses(pod) if "waiting" in s["state"]]
    assert not waiting
    note(Step("install", "`helm install --wait`: 2 + 1 + 1 workers, 2 Tritons with the engine `lite`", service.installed_seconds))


def test_helm_test_publishes_and_waits_for_its_verdicts(service: Service) -> None:
    said = service.kube.helm("test", "omniguard", "--logs", "--timeout", "3m")
    assert "Succeeded" in said, said


@pytest.mark.parametrize("name", PARTS)
async def test_upload_ends_as_the_right_verdict(service: Service, name: str) -> None:
    parts, actions = PARTS[name]
    content = f"{name}-{uuid.uuid4().hex[:8]}"
    async with (
        AIOKafkaProducer(bootstrap_servers=service.servers.kafka) as producer,
        Observer(service.servers.kafka, Topics()) as observer,
    ):
        await send(producer, content, parts=[_inline(part, number) for number, part in enumerate(parts)])
        seen = await observer.until(lambda seen: seen.verdicts_of(content), PATIENCE, f"the verdict of {content}")
    (said,) = seen.verdicts_of(content)
    assert (said.status, said.action in actions) == (Status.FINAL, True), _shown(said)


def _inline(part: dict[str, str], number: int) -> dict[str, str]:
    fields = {"id": f"p{number}", **part}
    if file := fields.pop("file", None):
        fields["data"] = base64.b64encode((MEDIA / file).read_bytes()).decode()
    return fields


def _shown(said: VerdictData) -> str:
    named = [c.name for c in said.categories if c.named]
    return f"{said.content_id}: {said.status} {said.action} {said.reason}, unsafe {said.unsafe}, {named}"
