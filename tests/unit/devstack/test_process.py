"""Processes found by their mark, waited for, and ended with all that they started."""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from omniguard.devstack import PartFailed, process
from omniguard.devstack.process import Launch, Running

_STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
_PARENT = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', sys.argv[1]]); time.sleep(600)"


@pytest.fixture
def mark() -> Iterator[str]:
    each = f"test-{uuid.uuid4().hex}"
    yield each
    process.end([each], 0.0)


@pytest.fixture
def run(tmp_path: Path, mark: str) -> Callable[..., Running]:
    """Starts Python with a program and arguments; output to `log`."""

    def start(*program: str) -> Running:
        return process.start(Launch((sys.executable, "-c", *program), tmp_path / "log", {}), mark)

    return start


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "did not become true in time"
        time.sleep(0.02)


def test_exit_code_and_last_lines_of_what_ends_while_starting(run: Callable[..., Running], tmp_path: Path) -> None:
    running = run("print('\\n'.join(f'line {n}' for n in range(40))); raise SystemExit(7)")
    with pytest.raises(PartFailed) as failure:
        process.wait_ready("kafka", running, lambda: False, tmp_path / "log", time.monotonic() + 20)
    said = str(failure.value)
    assert said.startswith("kafka ended while starting (exit code 7)")
    assert str(tmp_path / "log") in said
    assert said.endswith("line 39")
    assert "line 24\n" not in said  # fifteen lines, not the whole log


def test_a_signal_is_named(run: Callable[..., Running]) -> None:
    running = run("import time; time.sleep(600)")
    process.send(running, signal.SIGKILL)
    process.wait_gone(running, 20)
    assert process.describe_exit(running) == "signal SIGKILL"


def test_not_ready_in_time(run: Callable[..., Running], tmp_path: Path) -> None:
    running = run("import time; time.sleep(600)")
    with pytest.raises(PartFailed, match="kafka runs but was not ready in time"):
        process.wait_ready("kafka", running, lambda: False, tmp_path / "log", time.monotonic())


def test_ready(run: Callable[..., Running], tmp_path: Path) -> None:
    running = run("print('serving', flush=True); import time; time.sleep(600)")
    log = tmp_path / "log"
    process.wait_ready("kafka", running, lambda: "serving" in process.tail(log), log, time.monotonic() + 20)
    assert process.is_alive(running)


def test_a_reused_number_is_not_ours(run: Callable[..., Running]) -> None:
    running = run("import time; time.sleep(600)")
    later = replace(running, created=running.created - 60)
    assert not process.is_alive(later)
    process.send(later, signal.SIGKILL)
    assert process.is_alive(running)


def test_grandchildren_and_the_deaf_are_ended_too(run: Callable[..., Running], mark: str, tmp_path: Path) -> None:
    run(_PARENT, _STUBBORN)
    _until(lambda: "deaf" in process.tail(tmp_path / "log"))
    pids = [each.pid for each in process.marked(mark)]
    assert len(pids) == 2
    process.end([mark], 0.2)
    assert list(process.marked(mark)) == []
    assert all(not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE for pid in pids)


def test_a_recorded_process_that_hides_its_mark_is_ended(run: Callable[..., Running]) -> None:
    running = run("import time; time.sleep(600)")
    process.end(["another mark"], 5.0, [running])
    assert not process.is_alive(running)


def test_another_mark_is_left_alone(run: Callable[..., Running], mark: str) -> None:
    running = run("import time; time.sleep(600)")
    process.end([mark + "x", ""], 0.0)
    assert process.is_alive(running)


def test_living_children_are_counted(run: Callable[..., Running], mark: str) -> None:
    running = run(_PARENT, "import time; time.sleep(600)")
    _until(lambda: process.children(running) == 1)
    (child,) = [each for each in process.marked(mark) if each.pid != running.pid]
    os.kill(child.pid, signal.SIGKILL)
    _until(lambda: process.children(running) == 0)
    process.send(running, signal.SIGKILL)
    process.wait_gone(running, 20)
    assert process.children(running) == 0
