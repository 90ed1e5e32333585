from __future__ import annotations

import errno
import shutil
from io import FileIO
from pathlib import Path

import pytest

from omniguard.adapters.attempt_files import AttemptFiles, _grow
from omniguard.adapters.memory_assessments import MemoryAssessmentStore


async def test_a_state_folder_that_went_away_costs_counts_and_no_event(tmp_path: Path) -> None:
    errors: list[str] = []
    store = MemoryAssessmentStore(attempts=AttemptFiles(tmp_path / "state", errors.append))
    assert [await store.attempt("content-events/0/1") for _ in range(2)] == [1, 2]
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "state").write_text("in the way")
    assert await store.attempt("content-events/0/1") == 1
    await store.settle("content-events/0/1")
    assert errors == ["state", "state"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_still_counts(code: int, tmp_path: Path) -> None:
    class Full(FileIO):
        def write(self, data: object) -> int:
            raise OSError(code, "no room")

    with Full(tmp_path / "count", "ab") as file:
        _grow(file)
        _grow(file)
    assert (tmp_path / "count").stat().st_size == 2


def test_another_fault_of_the_disk_does_not(tmp_path: Path) -> None:
    class Broken(FileIO):
        def write(self, data: object) -> int:
            raise OSError(errno.EIO, "broken")

    with Broken(tmp_path / "count", "ab") as file, pytest.raises(OSError, match="broken"):
        _grow(file)
