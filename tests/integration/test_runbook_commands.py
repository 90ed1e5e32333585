"""Every command of the runbook, as written, against the genuine broker and guard."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from omniguard.entrypoints.cli import app
from runbook import commands

pytestmark = pytest.mark.stack

WRONG_CALL = 2
ENDLESS = {"worker": "--help", "supervise": "--help", "watch": "--timeout 1"}
"""Put behind commands that end only when told, or when something comes."""
TENANTS = "tenants: {acme: {policy: default, policy_epoch: 1}}\n"


def test_each_runs(kafka_url: str, triton_url: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tenants.yaml").write_text(TENANTS)
    monkeypatch.chdir(tmp_path)
    given = {"KAFKA__BOOTSTRAP": kafka_url, "KAFKA__TOPIC_PREFIX": topic_prefix, "TRITON__ADDRESSES": triton_url}
    for name, value in given.items():
        monkeypatch.setenv(f"OMNIGUARD_{name}", value)
    monkeypatch.setenv("OMNIGUARD_WORKER__STATE_FOLDER", str(tmp_path / "state"))
    monkeypatch.setenv("OMNIGUARD_WORKER__MEDIA_FOLDER", str(tmp_path / "media"))
    runner = CliRunner()
    assert runner.invoke(app, ["topics", "apply"]).exit_code == 0
    lines = [line for line in commands() if line.startswith("omniguard ") and "FILE" not in line]
    assert len(lines) > 15
    for line in lines:
        words = shlex.split(line.replace("$SINCE", "2026-11-22T03:00:00Z"))[1:]
        words += ENDLESS.get(words[0], "").split()
        done = runner.invoke(app, words)
        assert not done.exception or isinstance(done.exception, SystemExit), f"{line}: {done.exception!r}"
        assert done.exit_code != WRONG_CALL, f"{line}: {done.output}"
        if re.match(r"omniguard (topics|settings|dlq list|policy|publish|supervise)", line):
            assert done.exit_code == 0, f"{line}: {done.output}"
