"""`omniguard demo` as a person runs it: every sample gets its answer, and nothing of it is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from omniguard.devstack import process
from stack import REPOSITORY

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(600)]


def demo(state: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "omniguard", "demo", "--state", str(state), "--model-repository", str(REPOSITORY), *options]


def left_over(state: Path) -> list[psutil.Process]:
    return [found for part in ("guests", "kafka", "redis", "triton", "reaper") for found in process.marked(f"{state}#{part}")]


def test_every_sample_gets_the_answer_it_should(tmp_path: Path) -> None:
    environment = {**os.environ, "OMNIGUARD_KAFKA__BOOTSTRAP": "127.0.0.1:9"}  # somebody's real settings are not used
    done = subprocess.run(demo(tmp_path, "--json"), capture_output=True, text=True, env=environment, timeout=540, check=False)
    results = {result["sample"]: result for result in json.loads(done.stdout)}
    assert {name: result["wrong"] for name, result in results.items() if not result["right"]} == {}, done.stderr[-3000:]
    assert done.returncode == 0
    assert results["harmful-text-again"]["verdict"]["cache"]["hit"]
    assert results["not-json"]["dead_letter"]["stage"] == "parse"
    assert left_over(tmp_path) == []
    assert (tmp_path / "worker-live.log").exists()


def test_kill_9_leaves_nothing_running(tmp_path: Path) -> None:
    with subprocess.Popen(demo(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        _until(lambda: bool(list(process.marked(f"{tmp_path}#guests"))) or running.poll() is not None)
        assert running.poll() is None
        running.send_signal(signal.SIGKILL)
    _until(lambda: not left_over(tmp_path))


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end, "did not become true in time"
        time.sleep(0.1)
