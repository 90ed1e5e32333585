"""A model that Triton does not have is told at once, and not waited for."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from omniguard.entrypoints.cli import app

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("command", ["eval", "calibrate"])
def test_a_model_that_is_not_there_is_told_and_not_waited_for(triton_url: str, tmp_path: Path, command: str) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": 1, "text": "good morning", "labels": []}\n')
    more = ["--out", str(tmp_path / "c.json")] if command == "calibrate" else []
    result = CliRunner().invoke(app, [command, str(rows), "--triton", triton_url, "--model", "nope", *more])
    assert result.exit_code == 2, result.output
    assert "found no model nope, expected the guard's: correct --model" in result.output
