"""The search for what users wrote fails a run whose log holds it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from marker import MARK, leaks

TESTS = Path(__file__).parents[1]
INNER = """
def test_a_service_says(tmp_path):
    (tmp_path / "worker-0.log").write_text("it said: {said}")
"""


@pytest.fixture
def aside() -> Iterator[Path]:
    """A folder that the search of the run at hand does not come to."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def run(folder: Path, said: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A pytest run of its own, with the search as its only plugin of ours."""
    (folder / "test_inner.py").write_text(INNER.format(said=said))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "marker", "-p", "no:cacheprovider", "--rootdir", str(folder), *options]
    command += ["--basetemp", str(folder / "temporary"), str(folder / "test_inner.py")]
    environment = {"PYTHONPATH": str(TESTS), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_a_log_that_leaks_fails_the_run_and_is_named(aside: Path) -> None:
    done = run(aside, MARK, "-n", "1")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert "LEAK" in done.stdout
    assert "worker-0.log" in done.stdout


def test_a_run_that_keeps_quiet_passes(aside: Path) -> None:
    done = run(aside, "nothing of a user")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "LEAK" not in done.stdout


def test_what_is_searched(aside: Path) -> None:
    for name in ("worker.log", "kept-metrics-1", "deep/triton.log", "00000000000000000000.log", "media.bin", "empty.log"):
        path = aside / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("" if "empty" in name else f"x{MARK}x")
    assert leaks([aside]) == [aside / name for name in ("deep/triton.log", "kept-metrics-1", "worker.log")]
