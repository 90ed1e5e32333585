from __future__ import annotations

import shutil
from pathlib import Path

from omniguard.adapters.attempt_files import AttemptFiles
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
