"""What surrounds the tests on a cluster: which cluster they take, and the table they fill. The tests themselves run there."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubernetes import table, where
from kubernetes.table import BEGIN, END, Step
from kubernetes.where import NoCluster


def test_the_last_run_of_each_step_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured, page = tmp_path / "out" / "cluster.jsonl", tmp_path / "cluster.md"
    monkeypatch.setenv("CLUSTER_MEASURED", str(measured))
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for took in (9.0, 8.0):
        table.note(
            Step("node drained", "kubectl drain", took, events=1200, indeterminate=0, duplicates=3, slowest=12.34, first=4.0)
        )
    table.note(Step("uninstall", "helm uninstall", 5.0))
    table.main(str(measured), page)
    rows = page.read_text().splitlines()
    assert "| node drained | kubectl drain | 8.0 s | 1,200 | 0 | 0 | 3 | 12.3 s | 4.0 s |" in rows
    assert "| uninstall | helm uninstall | 5.0 s | - | - | - | - | - | - |" in rows
    assert (rows[0], rows[-1], "old" in rows) == ("before", "after", False)


def test_a_page_without_markers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").write_text("")
    (tmp_path / "page.md").write_text("no markers")
    with pytest.raises(ValueError, match="cluster: begin"):
        table.main(str(tmp_path / "none.jsonl"), tmp_path / "page.md")


def test_a_cluster_is_used_only_where_all_of_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNIGUARD_LOAD_IMAGE", "kind load image-archive")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("OMNIGUARD_TEST_HOST", raising=False)
    with pytest.raises(NoCluster, match="KUBECONFIG and OMNIGUARD_TEST_HOST"), where.cluster(keep=False):
        pass
    monkeypatch.setenv("KUBECONFIG", "/some/where")
    monkeypatch.setenv("OMNIGUARD_TEST_HOST", "172.18.0.1")
    with where.cluster(keep=False) as found:
        assert (found.kubeconfig, found.host, found.load) == ("/some/where", "172.18.0.1", ("kind", "load", "image-archive"))


def test_without_any_cluster_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMNIGUARD_LOAD_IMAGE", raising=False)
    monkeypatch.setenv("KT", "/nowhere/kt")
    with pytest.raises(NoCluster, match="OMNIGUARD_LOAD_IMAGE"), where.cluster(keep=False):
        pass


def test_an_image_that_cannot_be_loaded_tells_why(tmp_path: Path) -> None:
    there = where.Where("/some/where", "10.0.0.1", ("sh", "-c", "echo no such node; exit 3"))
    with pytest.raises(NoCluster, match=r"exit code 3\nno such node"):
        there.bring(tmp_path / "worker.tar")
