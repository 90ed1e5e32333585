"""What `omniguard-triton` makes of its options before it becomes tritonserver."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from omniguard.errors import Misconfigured
from omniguard.guard.serve import Serving, arguments, sweep

REPOSITORY = Path(__file__).parents[3] / "model_repository"


def started(tmp_path: Path, *words: str, server: str = 'printf "%s\\n" "$$" "$@"') -> subprocess.CompletedProcess[str]:
    """The launcher, with a script in the place of tritonserver."""
    script = tmp_path / "tritonserver"
    script.write_text(f"#!/bin/sh\n{server}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    command = [sys.executable, "-m", "omniguard.guard.serve", *words]
    env = {**os.environ, "TRITONSERVER": str(script)}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_the_process_becomes_the_server_with_what_every_installation_needs(tmp_path: Path) -> None:
    number = tmp_path / "pid"
    done = started(
        tmp_path, f"--models={REPOSITORY}", "--exit-timeout=7", f"--pid-file={number}", "--grpc-use-ssl=true", "--log-verbose=1"
    )
    assert done.returncode == 0, done.stderr
    told, *words = done.stdout.splitlines()
    assert number.read_text() == f"{told}\n"
    assert words[-2:] == ["--grpc-use-ssl=true", "--log-verbose=1"]  # not ours: handed on
    assert {
        f"--model-repository={REPOSITORY}",
        "--model-control-mode=explicit",
        "--load-model=omniguard",
        "--disable-auto-complete-config",
        "--exit-timeout-secs=7",
        "--backend-config=python,shm-region-prefix-name=omniguard_8001_",
        "--backend-config=python,stub-timeout-seconds=1800",
    } <= set(words)
    assert not any("restricted" in word for word in words)


def test_values_of_restricted_protocols_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "worker").write_text("w0rker\n")
    (tmp_path / "admin").write_text("adm1n")
    serving = Serving(REPOSITORY, worker_value_file=tmp_path / "worker", admin_value_file=tmp_path / "admin")
    restricted = [word for word in arguments(serving) if "restricted" in word]
    assert [word.rpartition(":")[2] for word in restricted] == [
        "omniguard=w0rker",
        "omniguard-admin=adm1n",
        "omniguard-admin=adm1n",
    ]
    assert restricted[0].startswith("--grpc-restricted-protocol=inference:")
    assert "inference" in restricted[2]  # over HTTP nobody of ours infers


@pytest.mark.parametrize("content", ["", "\n", "a b", "a,b", "a=b", "a:b", "a\nb"])
def test_a_value_that_triton_would_read_otherwise_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "value").write_text(content)
    with pytest.raises(Misconfigured, match="expected one line") as refused:
        arguments(Serving(REPOSITORY, admin_value_file=tmp_path / "value"))
    assert not content.strip() or content not in str(refused.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--models=/nowhere"], "found no omniguard/config.pbtxt in /nowhere"),
        ([f"--models={REPOSITORY}", "--model=other"], "found no other/config.pbtxt"),
        ([f"--models={REPOSITORY}", "--admin-value-file=/nowhere/value"], "/nowhere/value: found FileNotFoundError"),
        ([f"--models={REPOSITORY}", "--pid-file=/nowhere/pid"], "--pid-file /nowhere/pid: found No such file"),
        ([f"--models={REPOSITORY}", "--exit-timeout=soon"], "invalid int value"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_started(tmp_path: Path, words: list[str], message: str) -> None:
    done = started(tmp_path, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_server_it_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-m", "omniguard.guard.serve", f"--models={REPOSITORY}"]
    env = {**os.environ, "TRITONSERVER": "/nowhere/tritonserver", "PATH": "/nowhere"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "found no server at /nowhere/tritonserver" in done.stderr


def test_only_this_servers_shared_memory_is_swept(tmp_path: Path) -> None:
    for name in ("omniguard_8001_a", "omniguard_8001_b", "omniguard_9001_c", "other"):
        (tmp_path / name).touch()
    assert sweep(Serving(REPOSITORY).prefix, tmp_path) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["omniguard_9001_c", "other"]
