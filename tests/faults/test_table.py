"""The tool that writes the table of docs/reliability.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults import table
from faults.table import BEGIN, END, Fault


def test_runs_of_one_fault_make_one_row_and_new_ones_replace_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = tmp_path / "out" / "faults.jsonl"
    monkeypatch.setenv("FAULTS_MEASURED", str(measured))
    (tmp_path / "reliability.md").write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    table.note(Fault("redis", "flushed", "FLUSHALL", events=10, duplicates=1))
    table.main(str(measured), docs=tmp_path)
    measured.unlink()
    for seconds in (1.0, 2.0, 9.0):
        table.note(Fault("kafka", "killed", "kill -9", events=1000, duplicates=2, first_seconds=seconds))
    table.main(str(measured), docs=tmp_path)
    table.main(docs=tmp_path)  # what is kept is what was written
    page = (tmp_path / "reliability.md").read_text()
    assert page.startswith(f"before\n{BEGIN}\n| part |")
    assert page.endswith(f"{END}\nafter\n")
    assert "old" not in page
    kafka, redis = [line for line in page.splitlines() if line.startswith(("| kafka", "| redis"))]
    assert kafka == "| kafka | killed | kill -9 | 3 | 3,000 | 0 | 6 | 2.0 s (at most 9.0 s) | - |"
    assert redis.startswith("| redis | flushed | FLUSHALL | 1 | 10 | 0 | 1 |")


def test_without_the_variable_nothing_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAULTS_MEASURED", raising=False)
    monkeypatch.chdir(tmp_path)
    table.note(Fault("kafka", "killed", "kill -9", events=1))
    assert not list(tmp_path.iterdir())


def test_a_part_that_is_misspelled_and_a_page_without_markers_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one of"):
        Fault("kakfa", "x", "y", events=1)
    with pytest.raises(ValueError, match="faults: begin"):
        table.between("no markers", "text")
