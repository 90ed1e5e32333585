"""Room in the media folder, as an operator's gauge shows it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from omniguard.adapters.media_folder import free_bytes


def test_room_is_what_the_disk_has_left(tmp_path: Path) -> None:
    found = os.statvfs(tmp_path)
    assert 0 < free_bytes(tmp_path) <= found.f_blocks * found.f_frsize


def test_a_folder_that_cannot_be_written_has_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # a superuser may write any folder, but for a read-only disk's
    assert free_bytes(tmp_path) == 0


def test_a_folder_that_is_gone_has_no_room(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "none") == 0
