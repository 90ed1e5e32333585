"""The developer stack on the real parts: up, look, hurt, mend, and end without a trace."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import sysconfig
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import redis
import tritonclient.grpc as grpc
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from omniguard.devstack import DevStackError, PartFailed, Stack, process

pytestmark = pytest.mark.stack

_CONFIG = """
name: "omniguard"
backend: "python"
max_batch_size: 0
input [{ name: "REQUEST" data_type: TYPE_STRING dims: [1] }]
output [{ name: "EVENT" data_type: TYPE_STRING dims: [1] }]
model_transaction_policy { decoupled: true }
instance_group [{ kind: KIND_CPU count: 1 }]
"""
_MODEL = """
import os
import numpy as np
import triton_python_backend_utils as pb_utils
import editable_probe


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            answer = f"{editable_probe.WORD} {os.getpid()} {np.__version__}".encode()
            output = pb_utils.Tensor("EVENT", np.array([answer], dtype=object))
            request.get_response_sender().send(
                pb_utils.InferenceResponse([output]), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
            )
"""


@pytest.fixture(scope="module")
def model_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One decoupled model that answers with a word from an editable install, its pid and numpy's version."""
    repository = tmp_path_factory.mktemp("repository")
    (repository / "omniguard" / "1").mkdir(parents=True)
    (repository / "omniguard" / "config.pbtxt").write_text(_CONFIG)
    (repository / "omniguard" / "1" / "model.py").write_text(_MODEL)
    return repository


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment whose packages come by .pth files, as an editable install's do."""
    root = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / "venv"], check=True)
    (root / "source").mkdir()
    (root / "source" / "editable_probe.py").write_text('WORD = "editable"\n')
    (packages,) = (root / "venv" / "lib").glob("python3.*/site-packages")
    (packages / "probe.pth").write_text(f"{root / 'source'}\n{sysconfig.get_path('purelib')}\n")
    return root / "venv" / "bin" / "python"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, model_repository: Path, python: Path) -> Iterator[Stack]:
    """All three parts. Tests that hurt one mend it."""
    each = Stack(tmp_path_factory.mktemp("run"), model_repository=model_repository, python=python, owner=os.getpid())
    each.up()
    yield each
    each.down()


def _infer(address: str) -> list[str]:
    """The model's answer, split into word, pid and version."""
    answers: queue.Queue[object] = queue.Queue()
    with grpc.InferenceServerClient(address) as client:
        client.start_stream(lambda result, error: answers.put(error or result))
        request = grpc.InferInput("REQUEST", [1], "BYTES")
        request.set_data_from_numpy(np.array([b"{}"], dtype=object))
        client.async_stream_infer("omniguard", [request])
        answer = answers.get(timeout=30)
    assert isinstance(answer, grpc.InferResult), answer
    return str(answer.as_numpy("EVENT")[0].decode()).split()


def _eventually(true: Callable[[], bool], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "did not become true in time"
        time.sleep(0.05)


def _states(stack: Stack) -> dict[str, str]:
    return {part.name: part.state for part in stack.status()}


def _traces(stack: Stack) -> list[object]:
    """What a stack should leave none of: processes that name its folder, and shared memory by its prefix."""
    here = str(stack.dir)
    found: list[object] = []
    for each in psutil.process_iter():
        try:
            if here in " ".join([*each.cmdline(), *each.environ().values()]):
                found.append((each.pid, each.name()))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    launch = next((line for line in (stack.dir / "state.json").read_text().splitlines() if "shm-region" in line), "")
    prefix = launch.rpartition("=")[2].strip('", ')
    return found + ([*Path("/dev/shm").glob(f"{prefix}*")] if prefix else [])


async def _produce(bootstrap: str, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=4_000_000) as producer:
        await producer.send_and_wait(topic, value)


async def _consume(bootstrap: str, topic: str) -> bytes:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", group_id=uuid.uuid4().hex, session_timeout_ms=1500
    )
    async with consumer:
        return bytes((await consumer.getone()).value)


async def _create(bootstrap: str, topic: str, **config: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=config)])
    finally:
        await admin.close()


def test_every_part_serves(up: Stack) -> None:
    assert _states(up) == {"kafka": "running", "redis": "running", "triton": "running"}
    assert redis.Redis.from_url(up.urls().redis).set("k", "v")


def test_the_model_sees_its_environment_and_editable_installs(up: Stack) -> None:
    word, _, numpy = _infer(up.urls().triton)
    assert word == "editable"
    assert numpy.startswith("1.")


async def test_kafka_keeps_its_data_over_kill_9(up: Stack, topic_prefix: str) -> None:
    address, topic = up.urls().kafka, f"{topic_prefix}dead-letters"
    value = os.urandom(2_500_000)
    await _create(address, topic, **{"max.message.bytes": "3000000"})
    await _produce(address, topic, value)
    up.kill("kafka")
    (kafka,) = [part for part in up.status() if part.name == "kafka"]
    assert kafka.state == "dead"
    assert "SIGKILL" in kafka.detail
    assert "Kafka Server started" in kafka.detail  # the last lines of its log
    up.start("kafka")
    assert up.urls().kafka == address
    assert await _consume(address, topic) == value


async def test_kafka_creates_no_topic_by_itself(up: Stack, topic_prefix: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=up.urls().kafka)
    await admin.start()
    try:
        with_error = await admin.describe_topics([f"{topic_prefix}unknown"])
        assert with_error[0]["error_code"] == 3  # unknown topic or partition
        assert f"{topic_prefix}unknown" not in await admin.list_topics()
    finally:
        await admin.close()


def test_up_mends_what_died_and_leaves_the_rest_alone(up: Stack) -> None:
    before = {part.name: part.pid for part in up.status()}
    up.kill("redis")
    assert _states(up)["redis"] == "dead"
    up.up()
    after = {part.name: part.pid for part in up.status()}
    assert _states(up)["redis"] == "running"
    assert after.pop("redis") != before.pop("redis")
    assert after == before


def test_triton_comes_back_on_its_ports_after_kill_9(up: Stack) -> None:
    urls = up.urls()
    _, old, _ = _infer(urls.triton)
    up.kill("triton")
    up.start("triton")
    assert int(old) not in [each.pid for each in process.marked(f"{up.dir}#triton")]
    assert up.urls() == urls
    assert _infer(urls.triton)[1] != old
    stubs = [each for each in process.marked(f"{up.dir}#triton") if "stub" in each.name()]
    assert len(stubs) == 1


def test_a_dead_model_process_is_healed_by_unload_and_load(up: Stack) -> None:
    address = up.urls().triton
    _, old, _ = _infer(address)
    os.kill(int(old), signal.SIGKILL)
    _eventually(lambda: _states(up)["triton"] == "not_ready")  # though Triton itself says it is ready
    with grpc.InferenceServerClient(address) as client:
        client.unload_model("omniguard")
        client.load_model("omniguard")
    assert _infer(address)[1] != old
    assert _states(up)["triton"] == "running"


def test_a_stopped_part_is_stopped_not_dead(up: Stack) -> None:
    up.stop("redis")
    assert _states(up)["redis"] == "stopped"
    up.start("redis")
    assert _states(up)["redis"] == "running"


def test_a_part_that_hangs_does_not_serve(up: Stack) -> None:
    up.kill("redis", signal.SIGSTOP)
    assert _states(up)["redis"] == "not_ready"
    up.kill("redis", signal.SIGCONT)
    assert _states(up)["redis"] == "running"


def test_down_leaves_no_process_and_no_shared_memory(
    own_stack: Callable[..., Stack], model_repository: Path, python: Path
) -> None:
    each = own_stack(parts=("redis", "triton"), model_repository=model_repository, python=python)
    each.up()
    names = {trace[1] for trace in _traces(each) if isinstance(trace, tuple)}
    assert {"valkey-server", "tritonserver"} < names
    assert any(isinstance(trace, Path) for trace in _traces(each))  # shared memory
    each.kill("triton")  # leaves a stub and shared memory behind
    each.down()
    assert _traces(each) == []
    assert set(_states(each).values()) == {"stopped"}


def test_nothing_outlives_an_owner_killed_by_kill_9(tmp_path: Path, model_repository: Path, python: Path) -> None:
    program = textwrap.dedent(f"""
        import os, pathlib, signal
        from omniguard.devstack import Stack
        path = pathlib.Path
        Stack(path({str(tmp_path)!r}), parts=("redis", "triton"), model_repository=path({str(model_repository)!r}),
              python=path({str(python)!r}), owner=os.getpid()).up()
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    source = str(Path(process.__file__).parents[2])
    owner = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": source}, check=False)
    assert owner.returncode == -signal.SIGKILL
    assert (tmp_path / "triton.log").exists()
    _eventually(lambda: not _traces(Stack(tmp_path)))


def test_a_part_that_cannot_start_says_why(own_stack: Callable[..., Stack], model_repository: Path) -> None:
    broken = model_repository.parent / f"broken{uuid.uuid4().hex[:6]}"
    (broken / "omniguard" / "1").mkdir(parents=True)
    (broken / "omniguard" / "config.pbtxt").write_text(_CONFIG)
    (broken / "omniguard" / "1" / "model.py").write_text("raise ImportError('no such engine')\n")
    each = own_stack(parts=("triton",), model_repository=broken)
    with pytest.raises(PartFailed, match="no such engine"):
        each.up()
    assert _states(each)["triton"] in ("dead", "not_ready")


def test_an_address_of_ones_own_is_used_and_never_ended(up: Stack, own_stack: Callable[..., Stack]) -> None:
    url = up.urls().redis
    other = own_stack(parts=("redis",), external={"redis": url})
    assert other.up().redis == url
    other.down()
    assert redis.Redis.from_url(url).ping()
    with pytest.raises(DevStackError, match="not a part that this stack started"):
        other.kill("redis")
