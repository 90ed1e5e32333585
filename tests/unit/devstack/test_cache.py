"""The cache: made once, whole or not at all."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from omniguard.devstack import DevStackError
from omniguard.devstack.cache import cache_root, once, verify


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("OMNIGUARD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, root: Path, tmp_path: Path) -> None:
    assert cache_root() == root
    monkeypatch.delenv("OMNIGUARD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "omniguard"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root() == tmp_path / ".cache" / "omniguard"


def test_made_once_however_many_want_it() -> None:
    made: list[Path] = []

    def make(into: Path) -> None:
        made.append(into)
        (into / "file").write_text("content")

    threads = [threading.Thread(target=once, args=("thing", make), kwargs={"megabytes": 1}) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(made) == 1
    assert (once("thing", make, megabytes=1) / "file").read_text() == "content"


def test_a_failure_leaves_nothing_and_the_next_try_succeeds(root: Path) -> None:
    def half(into: Path) -> None:
        (into / "half").touch()
        raise DevStackError("the network went away")

    with pytest.raises(DevStackError, match="network"):
        once("thing", half, megabytes=1)
    assert [path.name for path in root.iterdir()] == ["thing.lock"]
    assert not (once("thing", lambda into: (into / "whole").touch(), megabytes=1) / "half").exists()


def test_a_folder_deleted_by_half_is_made_anew() -> None:
    folder = once("thing", lambda into: (into / "file").touch(), megabytes=1)
    (folder / ".complete").unlink()
    (folder / "file").unlink()
    assert (once("thing", lambda into: (into / "file").touch(), megabytes=1) / "file").exists()


def test_a_cache_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("OMNIGUARD_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DevStackError, match=r"cannot make the cache folder .*OMNIGUARD_CACHE"):
        once("thing", lambda _: None, megabytes=1)


@pytest.mark.parametrize(
    ("names", "message"), [(["a"], "b has sha256 none: it is absent"), (["a", "b", "c"], "c has sha256 .* expected no such file")]
)
def test_files_are_those_that_were_pinned(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        (tmp_path / name).write_text(name)
    sums = "".join(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n" for name in ("a", "b"))
    with pytest.raises(DevStackError, match=message):
        verify(tmp_path, sums)


def test_a_changed_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("changed")
    with pytest.raises(DevStackError, match=r"a has sha256 .*, expected 0000"):
        verify(tmp_path, f"{'0' * 64}  a\n")
