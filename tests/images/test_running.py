"""The images at work: a worker container and a Triton container judge uploads from the genuine broker, and end as they should."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from containers import ROOT, TRITON, VALUES, WORKER, Container, Mounts, Podman, answers, text
from omniguard.adapters.topics_admin import TopicsAdmin
from omniguard.contracts.topics import Topics
from origins import free_ports

SAMPLES = ROOT / "services/omniguard/samples/media"
TENANTS = f"tenants:\n  acme: {{policy: lite-demo, policy_epoch: 1, fetch: {{file_roots: ['{SAMPLES}'], max_bytes: 67108864}}}}\n"
COMMON = VALUES["workers"]["common"]
DRAIN = int(COMMON["drainTimeout"])
GRACE = DRAIN + 15
"""As the chart's terminationGracePeriodSeconds."""


def triton(
    podman: Podman, port: int, http: int, *words: str, exit_timeout: int = 10, **more: Any
) -> AbstractContextManager[Container]:
    """Triton on loopback, with what its pod may write."""
    mounts = Mounts({"/tmp": "mode=1777,size=256m", "/run/omniguard": "mode=1777,size=1m"}, more.pop("read", {}))
    options = more.pop("options", ("--shm-size=256m",))
    addresses = [f"--{kind}-address=127.0.0.1" for kind in ("grpc", "http")]
    ports = (f"--grpc-port={port}", f"--http-port={http}", "--allow-metrics=false", f"--exit-timeout={exit_timeout}")
    return podman.started(
        TRITON,
        "--pid-file=/run/omniguard/triton.pid",
        *ports,
        *addresses,
        *words,
        memory="3g",
        mounts=mounts,
        options=options,
        **more,
    )


def ready(container: Container, http: int) -> None:
    container.wait_for(lambda: answers(f"http://127.0.0.1:{http}/v2/models/omniguard/ready"), 240, "the model is ready")


@pytest.fixture(scope="module")
def served(podman: Podman) -> Iterator[str]:
    """gRPC address of the Triton image with its own models."""
    port, http = free_ports(2)
    with triton(podman, port, http) as container:
        ready(container, http)
        yield f"127.0.0.1:{port}"


@pytest.fixture
async def topics(kafka_url: str, topic_prefix: str) -> Topics:
    made = Topics(topic_prefix)
    async with TopicsAdmin({"bootstrap_servers": kafka_url}) as admin:
        await admin.apply(made.all)
    return made


class Service:
    """Workers of one group, each in a container as the chart runs it."""

    def __init__(self, podman: Podman, kafka: str, redis: str, triton: str, topics: Topics, folder: Path) -> None:
        self._podman, self._kafka, self._topics = podman, kafka, topics
        (self.port,) = free_ports(1)
        folder.chmod(0o755)
        (folder / "tenants.yaml").write_text(TENANTS)
        self._read = {folder: "/etc/omniguard/policy", SAMPLES: str(SAMPLES)}
        self._env = {
            "OMNIGUARD_KAFKA__BOOTSTRAP": kafka,
            "OMNIGUARD_KAFKA__TOPIC_PREFIX": topics.prefix,
            "OMNIGUARD_REDIS__URL": redis,
            "OMNIGUARD_TRITON__ADDRESSES": triton,
            "OMNIGUARD_POLICY__TENANTS": "/etc/omniguard/policy/tenants.yaml",
            "OMNIGUARD_WORKER__DRAIN_TIMEOUT": str(DRAIN),
            "OMNIGUARD_WORKER__HEALTH_PORT": str(self.port),
            "OMNIGUARD_WORKER__HEAVY_SECONDS": "600",
            "OMNIGUARD_WORKER__LIVE_SECONDS": "300",
            "OMNIGUARD_WORKER__MEDIA_FOLDER": "/var/lib/omniguard/media",
            "OMNIGUARD_WORKER__SANDBOX_REQUIRED": ",".join(COMMON["sandboxRequired"]),
            "OMNIGUARD_WORKER__STATE_FOLDER": "/var/lib/omniguard/state",
        }

    def worker(self) -> AbstractContextManager[Container]:
        mounts = Mounts({"/tmp": "mode=1777,size=256m", "/var/lib/omniguard": "mode=1777,size=1g"}, self._read)
        memory = COMMON["resources"]["limits"]["memory"]
        return self._podman.started(WORKER, "worker", "--from=earliest", memory=memory, mounts=mounts, env=self._env)

    def ready(self, container: Container) -> None:
        container.wait_for(lambda: answers(f"http://127.0.0.1:{self.port}/readyz"), 120, "the worker is ready")

    def metric(self, name: str) -> dict[str, float]:
        """Values by the labels' text."""
        told = text(f"http://127.0.0.1:{self.port}/metrics")
        return {labels: float(value) for labels, value in re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", told, re.MULTILINE)}

    def publish(self, name: str, *parts: str) -> None:
        self._omniguard("publish", "--id", name, *parts)

    def verdicts(self, number: int) -> dict[str, dict[str, Any]]:
        told = self._omniguard("watch", "--earliest", "--json", "--limit", str(number), "--timeout", "240")
        found = [json.loads(line).get("verdict") for line in told.splitlines()]
        return {verdict["content_id"]: verdict for verdict in found if verdict}

    def _omniguard(self, *words: str) -> str:
        where = ("--kafka", self._kafka, "--prefix", self._topics.prefix)
        env = {key: value for key, value in os.environ.items() if not key.startswith("OMNIGUARD_")}
        done = subprocess.run(
            [sys.executable, "-m", "omniguard", *words, *where], capture_output=True, text=True, timeout=300, check=False, env=env
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def service(podman: Podman, kafka_url: str, redis_url: str, served: str, topics: Topics, tmp_path: Path) -> Service:
    return Service(podman, kafka_url, redis_url, served, topics, tmp_path)


async def test_a_harmful_and_a_harmless_upload_end_as_the_right_verdicts(service: Service) -> None:
    with service.worker() as worker:
        await asyncio.to_thread(service.ready, worker)
        service.publish("harmless", "a walk in the park", str(SAMPLES / "photo.jpg"))
        service.publish("harmful", "look at this", str(SAMPLES / "harmful-text.png"))
        service.publish("film", "--reference", str(SAMPLES / "harm-begins-at-12s.mp4"))
        found = await asyncio.to_thread(service.verdicts, 3)
        sandbox = service.metric("omniguard_decoder_sandbox")
        logs = worker.logs()
    assert {name: verdict["action"] for name, verdict in found.items()} == {
        "harmless": "allow",
        "harmful": "block",
        "film": "block",
    }, logs
    assert {verdict["model"]["engine"] for verdict in found.values()} == {"lite"}
    in_force = {labels.removeprefix('part="').removesuffix('"') for labels, value in sandbox.items() if value == 1}
    assert set(COMMON["sandboxRequired"]) <= in_force, sandbox
    print("decoder sandbox:", sandbox)


async def test_sigterm_ends_a_worker_with_an_event_under_way_and_none_is_lost(service: Service) -> None:
    with service.worker() as worker:
        await asyncio.to_thread(service.ready, worker)
        for number in range(3):
            service.publish(f"film-{number}", f"number {number}", "--reference", str(SAMPLES / "harm-begins-at-12s.mp4"))
        await asyncio.to_thread(
            worker.wait_for, lambda: service.metric("omniguard_window_events").get("", 0) >= 1, 60, "an event is under way"
        )
        status, seconds = await asyncio.to_thread(worker.stop, GRACE)
        assert (status, seconds < GRACE) == (0, True), worker.logs()[-4000:]
    with service.worker() as worker:
        await asyncio.to_thread(service.ready, worker)
        found = await asyncio.to_thread(service.verdicts, 3)
    assert {name: verdict["action"] for name, verdict in found.items()} == {f"film-{n}": "block" for n in range(3)}


async def test_the_worker_image_probes_itself_and_ensures_topics(
    service: Service, podman: Podman, kafka_url: str, topics: Topics
) -> None:
    where = ("--kafka", kafka_url, "--prefix", topics.prefix)
    with service.worker() as worker:
        await asyncio.to_thread(service.ready, worker)
        told = await asyncio.to_thread(podman.run, WORKER, "probe", "--json", "--deadline", "60", *where)
    assert [upload["step"] for upload in json.loads(told)["uploads"]] == ["right", "right"]


async def test_the_worker_image_supervises_the_triton_image(podman: Podman, served: str) -> None:
    (port,) = free_ports(1)
    words = ("supervise", f"--triton={served}", f"--port={port}")
    limit = VALUES["triton"]["supervisor"]["resources"]["limits"]["memory"]
    with podman.started(WORKER, *words, memory=limit, mounts=Mounts({"/tmp": "mode=1777,size=64m"}, {})) as supervisor:
        supervisor.wait_for(lambda: answers(f"http://127.0.0.1:{port}/readyz"), 60, "the supervisor finds the model healthy")
        status, _ = supervisor.stop(10)
    assert status == 0


def test_sigterm_ends_triton_with_a_connection_open(podman: Podman) -> None:
    port, http = free_ports(2)
    with triton(podman, port, http, exit_timeout=5) as container:
        ready(container, http)
        client = grpc.InferenceServerClient(f"127.0.0.1:{port}")
        assert client.is_model_ready("omniguard")
        assert container.podman("exec", container.name, "cat", "/run/omniguard/triton.pid").stdout == "1\n"
        status, seconds = container.stop(30)
        client.close()
    assert (status, seconds < 30) == (0, True), container


def test_what_a_killed_triton_left_in_shared_memory_is_swept(podman: Podman, tmp_path: Path) -> None:
    port, http = free_ports(2)
    shared = tmp_path / "shm"
    shared.mkdir()
    shared.chmod(0o1777)
    foreign = shared / "somebody-elses"
    foreign.write_bytes(b"x")
    volume = (f"--volume={shared}:/dev/shm",)  # outlives the container, as a pod's does
    with triton(podman, port, http, options=volume) as container:
        ready(container, http)
        podman("kill", "--signal=KILL", container.name)
        podman("wait", container.name)
    left = {path.name for path in shared.glob("omniguard_*")}
    assert left
    with triton(podman, port, http, options=volume) as container:
        ready(container, http)
        assert not left & {path.name for path in shared.iterdir()}
        assert foreign.exists()


def test_only_who_has_the_values_infers_and_loads(podman: Podman, tmp_path: Path) -> None:
    port, http = free_ports(2)
    tmp_path.chmod(0o755)
    (tmp_path / "value").write_text("for-workers\n")
    (tmp_path / "admin").write_text("for-supervisors\n")
    words = ("--worker-value-file=/etc/omniguard/restricted/value", "--admin-value-file=/etc/omniguard/restricted/admin")
    with triton(podman, port, http, *words, read={tmp_path: "/etc/omniguard/restricted"}) as container:
        ready(container, http)
        client = grpc.InferenceServerClient(f"127.0.0.1:{port}")
        with pytest.raises(InferenceServerException, match="triton-grpc-protocol-omniguard-admin"):
            client.get_model_repository_index()
        assert client.get_model_repository_index({"triton-grpc-protocol-omniguard-admin": "for-supervisors"}).models
        with pytest.raises(InferenceServerException, match="triton-grpc-protocol-omniguard"):
            client.infer("omniguard", [])
        client.close()


def test_a_repository_without_the_model_is_said_at_once(podman: Podman) -> None:
    done = podman("run", "--rm", TRITON, "--models=/tmp", check=False)
    assert done.returncode == 2
    assert "found no omniguard/config.pbtxt in /tmp" in done.stderr
