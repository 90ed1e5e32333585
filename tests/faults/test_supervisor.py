"""The supervisor beside genuine Triton: what is broken is replaced in seconds, and what is merely busy is left alone."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from faults.supervised import GUARD, Server, served
from faults.worker import eventually
from guard_asking import text
from omniguard.adapters.triton_channels import Access
from omniguard.adapters.triton_control import ReloadFailed, TritonControl
from omniguard.adapters.triton_guard import TritonGuard
from omniguard.devstack import Stack
from omniguard.entrypoints.supervisor import Finding, Rules
from omniguard.errors import ModelDied
from omniguard.guard.wire import MODEL, GuardRequest, Mode, WirePart
from omniguard.observability import Metrics
from omniguard.settings import TritonSettings
from origins import free_ports

pytestmark = [pytest.mark.triton, pytest.mark.timeout(300)]

BUSY = 24
"""Requests at once: more than the model holds."""


@pytest.fixture
async def server(own_stack: Callable[..., Stack], tmp_path: Path) -> AsyncIterator[Server]:
    async with served(own_stack, tmp_path / "control") as made:
        yield made


def faults(metrics: Metrics) -> dict[str, float]:
    return {fault: metrics.value("omniguard_model_faults_total", kind=fault) for fault in ("dead", "hung", "failing")}


@pytest.mark.parametrize(
    ("signals", "number"),
    [
        pytest.param(True, signal.SIGKILL, id="with-pid-killed"),
        pytest.param(True, signal.SIGSTOP, id="with-pid-stopped", marks=pytest.mark.long),
        pytest.param(False, signal.SIGKILL, id="without-pid-killed", marks=pytest.mark.long),
        pytest.param(False, signal.SIGSTOP, id="without-pid-stopped", marks=pytest.mark.long),
    ],
)
async def test_a_dead_or_stopped_process_is_replaced(
    server: Server, number: signal.Signals, signals: bool, record_property: Callable[[str, object], None]
) -> None:
    async with server.supervised(Rules(), signals=signals) as (supervisor, metrics):
        old = server.model
        old.send_signal(number)
        record_property("seconds to heal", round(await server.until_answered(), 1))
        await eventually(lambda: supervisor.finding is Finding.HEALTHY, 30, "a healthy model")
        assert faults(metrics) == {"dead": 1, "hung": 0, "failing": 0}
        assert metrics.value("omniguard_model_heals_total", outcome="reload") == 1
        assert metrics.value("omniguard_model_state", kind="healthy") == 1
        assert server.model_pid != old.pid
        assert not supervisor.unhealthy
    left = [stub.pid for stub in server.stubs()]
    assert (old.pid in left) is (not signals and number is signal.SIGSTOP), "only who may signal can remove a stopped process"


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ("hang", "hung"),
        pytest.param("fail", "failing", marks=pytest.mark.long),
        pytest.param("refuse", "failing", marks=pytest.mark.long),
    ],
)
async def test_an_engine_that_hangs_fails_or_has_died_in_a_living_process_is_replaced(
    server: Server, told: str, fault: str
) -> None:
    async with server.supervised(Rules(hang_after=2.0, canary_every=0.5)) as (_, metrics):
        old = server.model_pid
        server.tell(told)
        await eventually(lambda: server.model_pid != old, 60, "a new process")
        await server.until_answered()
        assert {name for name, count in faults(metrics).items() if count} == {fault}


@pytest.mark.long
async def test_deadlines_that_expire_are_no_answers(server: Server) -> None:
    """A hung engine ends every request by its deadline: something leaves the model all the time, but no answer."""
    async with server.supervised(Rules(hang_after=2.0, canary_every=0.5)) as (_, metrics):
        old = server.model_pid
        server.tell("hang")

        async def ask() -> None:
            while server.model_pid == old:
                # Triton leaves what is under way without an answer when the process goes: hence a limit.
                await asyncio.wait({asyncio.create_task(server.guard.ask(text("hello", deadline_ms=300)))}, timeout=2)

        async with asyncio.timeout(60):
            await asyncio.gather(*(ask() for _ in range(4)))
        assert faults(metrics)["hung"] == 1


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
async def test_a_worker_is_told_what_was_under_way_in_a_process_that_died(server: Server, number: signal.Signals) -> None:
    """Triton never answers it; without more it would cost each event its deadline, and nobody would know whose it was."""
    client = TritonGuard([server.address], metrics=Metrics())
    request = GuardRequest(
        mode=Mode.LABEL, parts=(WirePart(id="p", modality="text", text="takes:3"),), categories_from=1.0, deadline_ms=100_000
    )
    try:
        async with server.supervised(Rules()) as (_, metrics):
            asked = [asyncio.create_task(client.label(request, ())) for _ in range(4)]
            await eventually(lambda: (server.control / "takes").exists(), 30, "a request under way")
            server.model.send_signal(number)
            async with asyncio.timeout(80):
                ends = await asyncio.gather(*asked, return_exceptions=True)
                # As `Trials` does, alone; here nobody is a killer.
                assert len({end.death for end in ends if isinstance(end, ModelDied)}) == 1
                labels = [await client.label(request, ()) for _ in ends]
            assert {type(end) for end in ends} == {ModelDied}
            assert [label.event.label for label in labels] == ["safe"] * 4
            assert faults(metrics) == {"dead": 1, "hung": 0, "failing": 0}
    finally:
        await client.close()


@pytest.mark.long
async def test_where_several_processes_serve_a_model_none_is_taken_for_a_successor(
    own_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    repository = shutil.copytree(GUARD, tmp_path / "repository")
    config = repository / MODEL / "config.pbtxt"
    config.write_text(config.read_text().replace("count: 1", "count: 2"))
    stack = own_stack(parts=("triton",), model_repository=repository, triton_env={"SUPERVISED_CONTROL": str(tmp_path)})
    metrics = Metrics()
    client = TritonGuard([(await asyncio.to_thread(stack.up)).triton], metrics=metrics)
    part = WirePart(id="p", modality="text", text="takes:9")
    request = GuardRequest(mode=Mode.LABEL, parts=(part,), categories_from=1.0, deadline_ms=90_000)

    async def died() -> int:
        ends = await asyncio.gather(*(client.label(request, ()) for _ in range(4)), return_exceptions=True)
        return sum(isinstance(end, ModelDied) for end in ends)

    try:
        assert await died() <= 4, "at most once, until the first of them is heard of again"
        assert await died() == 0
    finally:
        await client.close()


@pytest.mark.long
async def test_a_healthy_model_under_full_load_is_never_reloaded(server: Server) -> None:
    """First slow requests in every place, longer than the least patience, before any was seen; then many quick ones."""
    process, began = server.model_pid, time.time()
    async with server.supervised(Rules(canary_every=0.2)) as (supervisor, metrics):
        for words, rounds in (("takes:7", 1), ("takes:0.3", 6)):
            for _ in range(rounds):
                asked = [server.guard.ask(text(words)) for _ in range(6 if rounds == 1 else BUSY)]
                replies = await asyncio.gather(*asked)
                assert sum(reply.kinds == ["label"] for reply in replies) >= 6
        assert faults(metrics) == {"dead": 0, "hung": 0, "failing": 0}
        assert supervisor.finding is Finding.HEALTHY
        assert (metrics.registry.get_sample_value("omniguard_canary_duration_seconds_count") or 0) > 3
        assert metrics.value("omniguard_canaries_total", outcome="good") > 3
        assert metrics.value("omniguard_canary_last_success_timestamp_seconds") > began
    assert server.model_pid == process


@pytest.mark.long
async def test_what_a_reload_does_not_mend_asks_for_a_restart_and_is_tried_again(server: Server) -> None:
    async with server.supervised(Rules(retry_after=0.5), signals=False) as (supervisor, metrics):
        (server.control / "no-load").touch()
        server.model.kill()
        await eventually(lambda: supervisor.unhealthy, 60, "unhealthy")
        assert metrics.value("omniguard_model_heals_total", outcome="nothing") >= 1
        (server.control / "no-load").unlink()
        await server.until_answered()
        await eventually(lambda: not supervisor.unhealthy, 60, "healthy again")


@pytest.mark.long
async def test_where_it_may_it_ends_triton_and_goes_on_with_the_next(server: Server) -> None:
    async with server.supervised(Rules(), signals=True) as (supervisor, metrics):
        (server.control / "no-load").touch()
        server.model.kill()
        old = psutil.Process(server.pid)
        await eventually(lambda: metrics.value("omniguard_model_heals_total", outcome="restart"), 60, "a restart")
        await asyncio.to_thread(old.wait, 30)
        await eventually(lambda: supervisor.finding is Finding.AWAY, 30, "nobody there")
        assert not supervisor.unhealthy, "a server that starts again must not be ended once more"
        (server.control / "no-load").unlink()
        await asyncio.to_thread(server.stack.start, "triton")
        await eventually(lambda: supervisor.finding is Finding.HEALTHY, 60, "the next Triton")


@pytest.mark.long
async def test_only_who_has_the_word_for_the_model_repository_may_reload(own_stack: Callable[..., Stack], tmp_path: Path) -> None:
    stack = own_stack(
        parts=("triton",),
        model_repository=GUARD,
        triton_env={"SUPERVISED_CONTROL": str(tmp_path)},
        triton_args=("--grpc-restricted-protocol=model-repository:omniguard-admin=the-word",),
    )
    address = (await asyncio.to_thread(stack.up)).triton
    settings = TritonSettings(admin_value=SecretStr("the-word"))
    worker, admin = (TritonControl(address, MODEL, Access.of(settings, admin=admin)) for admin in (False, True))
    try:
        with pytest.raises(ReloadFailed, match="expected a loaded model"):
            await worker.reload(5, 60)
        before = (await worker.status(10)).process
        await admin.reload(5, 60)
        assert (await worker.status(10)).process != before
    finally:
        await worker.close()
        await admin.close()


@pytest.mark.long
async def test_the_command_serves_its_pages_and_ends_on_sigterm(server: Server, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    file = tmp_path / "triton.pid"
    file.write_text(str(server.pid))
    words = ("supervise", "--triton", server.address, "--pid-file", str(file), "--port", str(port))
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "omniguard", *words)
    try:
        await eventually(lambda: _get(port, "readyz")[0] == 200, 60, "ready")
        assert _get(port, "healthz")[0] == 200
        server.model.kill()
        await server.until_answered()
        await eventually(lambda: 'omniguard_model_heals_total{outcome="reload"} 1.0' in _get(port, "metrics")[1], 30, "the count")
        assert _get(port, "healthz")[0] == 200
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) == 0


def _get(port: int, page: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=10) as answer:
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""
