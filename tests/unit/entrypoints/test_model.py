"""`omniguard model fetch` as a person or an init container calls it."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from omniguard.adapters.model_files import ModelFolder
from omniguard.entrypoints.cli import app

run = CliRunner().invoke


@pytest.fixture
def archive(tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / "m.tar.gz"
    (tmp_path / "config.json").write_text("{}")
    with tarfile.open(path, "w:gz") as tar:
        tar.add(tmp_path / "config.json", "guard/config.json")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_fetches_once_and_says_in_one_line_that_it_is_there(archive: tuple[Path, str], tmp_path: Path) -> None:
    call = ["model", "fetch", str(archive[0]), "--sha256", archive[1].upper(), "--to", str(tmp_path / "v" / "guard")]
    first, second = run(app, call), run(app, call)
    assert (first.exit_code, second.exit_code) == (0, 0), first.output
    assert "guard: fetched, 1 files" in first.stdout
    assert second.stdout.splitlines() == [f"{tmp_path}/v/guard: is there already, 1 files, 0.00 GB, sha256 {archive[1]}"]
    assert (tmp_path / "v" / "guard" / "config.json").read_text() == "{}"
    assert json.loads(run(app, [*call, "--json"]).stdout)["already"] is True


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sha256", "abc"], "64 hexadecimal digits"),
        (["--sha256", "0" * 64], "found bytes with the sha256"),
        (["--to", "/proc"], "mounted volume"),
        (["--token-file", "/nowhere"], "mounted file"),
        (["--ca-file", "/etc/hosts"], "no certificate in PEM"),
        (["--credentials", "store"], "OMNIGUARD_S3__STORE__*"),
    ],
)
def test_a_call_that_must_be_changed(archive: tuple[Path, str], tmp_path: Path, options: list[str], said: str) -> None:
    given = {"--sha256": archive[1], "--to": str(tmp_path / "guard"), **dict(zip(options[::2], options[1::2], strict=True))}
    result = run(app, ["model", "fetch", str(archive[0]), *(word for pair in given.items() for word in pair)])
    assert result.exit_code == 2, result.output
    assert said in result.output.replace("\n", "")
    assert "Traceback" not in result.output
    assert not (tmp_path / "guard").exists()


def test_a_source_that_is_away_may_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ModelFolder.__init__.__kwdefaults__, "pauses", ())
    result = run(app, ["model", "fetch", "http://127.0.0.1:9/m.tar", "--sha256", "0" * 64, "--to", str(tmp_path / "guard")])
    assert result.exit_code == 1
    assert "127.0.0.1" in result.output
