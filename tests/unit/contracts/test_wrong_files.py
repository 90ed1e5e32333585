"""Every way we know to get a policy or a tenants file wrong, with the whole message it earns (`*.txt`).

`UPDATE_GOLDEN=1 pytest tests/unit/contracts/test_wrong_files.py` writes the messages anew; read the difference before you commit.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from omniguard.contracts.policy_file import load_policy
from omniguard.contracts.tenants_file import load_tenants
from omniguard.errors import Misconfigured

FOLDER = Path(__file__).parent / "wrong_files"
WRONG = sorted(path.name for path in FOLDER.glob("*.yaml") if not path.stem.endswith("_right"))


def load(name: str) -> None:
    if name.startswith("policy_"):
        load_policy(Path(name))
    else:
        load_tenants(Path(name), {"SAMPLES": "/srv/samples"})


def message(name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(FOLDER)
    with pytest.raises(Misconfigured) as caught:
        load(name)
    return f"{caught.value}\n"


@pytest.mark.parametrize("name", WRONG)
def test_message(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = FOLDER / f"{Path(name).stem}.txt"
    found = message(name, monkeypatch)
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(found, encoding="utf-8")
    assert found == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", WRONG)
def test_message_names_the_file_and_what_to_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in message(name, monkeypatch).splitlines():
        assert ".yaml" in line
        assert ";" in line


def test_there_is_no_golden_message_without_its_file() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == {Path(name).stem for name in WRONG}


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        load_policy(tmp_path / "none.yaml")


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"id: caf\xe9\n")
    with pytest.raises(Misconfigured, match="not UTF-8"):
        load_policy(tmp_path / "latin.yaml")
