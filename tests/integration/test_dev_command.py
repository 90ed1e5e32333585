"""`omniguard dev` in the foreground, and the suite's own stack under xdist. Valkey alone: it starts in milliseconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from omniguard.devstack import Stack, process

pytestmark = pytest.mark.stack

_ROOT = Path(__file__).parents[2]
_ENV = {**os.environ, "PYTHONPATH": f"{_ROOT / 'services'}:{_ROOT / 'tests'}"}
_DEV = (sys.executable, "-c", "from omniguard.entrypoints.dev import dev_app; dev_app()")


@pytest.fixture
def foreground(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`dev up --wait`, once Valkey serves."""
    command = [*_DEV, "up", "--wait", "--json", "--parts", "redis", "--state", str(tmp_path)]
    with subprocess.Popen(command, env=_ENV, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        yield running
        running.kill()
    _until(lambda: not list(process.marked(f"{tmp_path}#redis")))


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, "did not become true in time"
        time.sleep(0.05)


def _printed(running: subprocess.Popen[str]) -> dict[str, object]:
    assert running.stdout is not None
    (part,) = json.loads(running.stdout.readline())
    assert isinstance(part, dict)
    return part


def _ended(running: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = running.communicate(timeout=30)
    return running.returncode, said


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_parts_and_is_no_failure(foreground: subprocess.Popen[str], signum: int) -> None:
    pid = _printed(foreground)["pid"]
    foreground.send_signal(signum)
    assert _ended(foreground)[0] == 0
    assert pid not in psutil.pids()


def test_a_part_that_dies_ends_the_command_with_its_last_lines(foreground: subprocess.Popen[str], tmp_path: Path) -> None:
    _printed(foreground)
    Stack(tmp_path).kill("redis")
    code, said = _ended(foreground)
    assert code == 1
    assert "redis has died: signal SIGKILL" in said
    assert "Ready to accept connections" in said
    assert str(tmp_path / "redis.log") in said


def test_kill_9_of_the_command_ends_the_parts(foreground: subprocess.Popen[str], tmp_path: Path) -> None:
    pid = _printed(foreground)["pid"]
    foreground.kill()
    _until(lambda: pid not in psutil.pids())
    _until(lambda: not list(process.marked(f"{tmp_path}#reaper")))
    assert {part.name: part.state for part in Stack(tmp_path).status()} == {"redis": "stopped"}


def test_status_finds_the_parts_of_a_demo(tmp_path: Path) -> None:
    folder = tmp_path / "omniguard/demo"
    stack = Stack(folder, parts=("redis",), owner=os.getpid())

    def status() -> list[dict[str, object]]:
        done = subprocess.run(
            [*_DEV, "status", "--json"],
            env={**_ENV, "XDG_STATE_HOME": str(tmp_path)},
            text=True,
            capture_output=True,
            check=False,
        )
        parts = json.loads(done.stdout)
        assert isinstance(parts, list)
        return parts

    assert status() == []
    try:
        stack.up()
        assert [(part["part"], part["state"]) for part in status()] == [("redis", "running")]
    finally:
        stack.down()
    assert status() == [], "what has ended is not shown for what `up` would start"


def test_up_status_down_in_the_background(tmp_path: Path) -> None:
    def dev(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*_DEV, *words, "--state", str(tmp_path / "run")], env=_ENV, text=True, capture_output=True, check=False
        )

    try:
        first, second = dev("up", "--parts", "redis", "--json"), dev("up", "--parts", "redis", "--json")
        assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
        assert json.loads(first.stdout)[0]["pid"] == json.loads(second.stdout)[0]["pid"]
        assert dev("status").returncode == 0
        Stack(tmp_path / "run").kill("redis")
        dead = dev("status")
        assert dead.returncode == 1
        assert "Ready to accept connections" in dead.stdout
    finally:
        assert dev("down", "--purge").returncode == 0
    assert not (tmp_path / "run").exists()


def test_several_at_once_start_one(tmp_path: Path) -> None:
    command = [*_DEV, "up", "--parts", "redis", "--json", "--state", str(tmp_path)]
    try:
        running = [subprocess.Popen(command, env=_ENV, text=True, stdout=subprocess.PIPE) for _ in range(3)]
        answers = [json.loads(each.communicate(timeout=60)[0])[0] for each in running]
        assert {(part["state"], part["pid"]) for part in answers} == {("running", answers[0]["pid"])}
    finally:
        Stack(tmp_path).down()


def test_one_stack_serves_all_workers_of_a_run_and_ends_with_it(tmp_path: Path) -> None:
    (tmp_path / "test_each.py").write_text(
        textwrap.dedent("""
            import os, pathlib, pytest, redis

            @pytest.mark.parametrize("n", range(4))
            def test_it(n, redis_url, tmp_path_factory):
                run = redis.Redis.from_url(redis_url).info()["run_id"]
                folder = pathlib.Path(os.environ["SEEN"])
                (folder / f"{n}-{os.environ['PYTEST_XDIST_WORKER']}.seen").write_text(f"{run} {redis_url}")
        """)
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "stack",
        "-p",
        "no:cacheprovider",
        "-n",
        "2",
        "--dist",
        "each",
        str(tmp_path),
    ]
    done = subprocess.run(
        command, env={**_ENV, "SEEN": str(tmp_path)}, cwd=tmp_path, text=True, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = [file.read_text().split() for file in tmp_path.glob("*.seen")]
    assert len(seen) == 2 * 4
    assert len({run for run, _ in seen}) == 1
    port = int(seen[0][1].rpartition(":")[2].partition("/")[0])
    assert process.port_is_free(port)
