from __future__ import annotations

import importlib
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from omniguard.entrypoints.cli import COMMANDS, app
from omniguard.entrypoints.cli_page import commands

run = CliRunner().invoke


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_every_command_explains_itself(name: str) -> None:
    result = run(app, [*name.split()[1:], "--help"])
    assert result.exit_code == 0, result.output


def test_the_help_lists_every_command() -> None:
    listed = run(app, ["--help"]).output
    assert all(f" {name} " in listed for name in COMMANDS)


def test_the_help_imports_no_command() -> None:
    code = """
import sys
from typer.testing import CliRunner
from omniguard.entrypoints.cli import app
assert CliRunner().invoke(app, ["--help"]).exit_code == 0
print(*sorted(name for name in sys.modules if name.startswith("omniguard.")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["omniguard.entrypoints", "omniguard.entrypoints.cli"]


def test_an_unknown_command_is_a_wrong_call() -> None:
    assert run(app, ["moderat"]).exit_code == 2


def test_version() -> None:
    assert run(app, ["--version"]).output.strip() == version("omniguard")


def test_a_command_whose_extra_is_absent_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def without_psutil(name: str, package: str | None = None) -> object:
        if name == "omniguard.entrypoints.dev":
            raise ModuleNotFoundError("No module named 'psutil'", name="psutil")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", without_psutil)
    result = run(app, ["dev", "up"])
    assert result.exit_code == 2
    assert "pip install 'omniguard[dev]'" in result.output
    assert run(app, ["policy", "list"]).exit_code == 0


def test_a_worker_with_a_wrong_setting_ends_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNIGUARD_WORKER__WINDOW_EVENTS", "many")
    result = run(app, ["worker"])
    assert result.exit_code == 2
    assert "OMNIGUARD_WORKER__WINDOW_EVENTS" in result.output
    assert "Traceback" not in result.output


def test_a_worker_that_fails_tells_its_log_and_not_what_users_wrote(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the words of a user")

    monkeypatch.setattr("omniguard.entrypoints.worker_command.run", broken)
    result = run(app, ["worker"])
    assert result.exit_code == 1
    said = result.output + capfd.readouterr().err
    assert "RuntimeError" in said
    assert "the words of a user" not in said


def test_settings_mask_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNIGUARD_REDIS__URL", "redis://:hunter2@store:6379/0")
    for arguments in (["settings"], ["settings", "--json"], ["settings", "--changed"]):
        shown = run(app, arguments)
        assert shown.exit_code == 0, shown.output
        assert "hunter2" not in shown.output
        assert "**" in shown.output


def test_an_environment_that_sets_nothing_is_said_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("OMNIGUARD_")]:
        monkeypatch.delenv(name)
    assert run(app, ["settings", "--changed"]).output == "every setting has its default\n"
