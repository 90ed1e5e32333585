"""Archives and lists that somebody hostile has made: each is refused by name, and nothing leaves the folder."""

from __future__ import annotations

import errno
import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from backports import zstd

from omniguard.adapters.model_files import archive as archives
from omniguard.adapters.model_files import outcomes
from omniguard.adapters.model_files.archive import is_archive, unpack
from omniguard.adapters.model_files.manifest import read_list
from omniguard.adapters.model_files.outcomes import ModelNotFetched
from omniguard.errors import Misconfigured

Fill = Callable[[tarfile.TarFile], None]


def packed(path: Path, fill: Fill) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        fill(tar)
    return path


def file(name: str, size: int = 1, **fields: object) -> Fill:
    def add(tar: tarfile.TarFile) -> None:
        member = tarfile.TarInfo(name)
        member.size = size
        for field, value in fields.items():
            setattr(member, field, value)
        tar.addfile(member, io.BytesIO(bytes(size)))

    return add


def other(name: str, kind: bytes, target: str = "") -> Fill:
    def add(tar: tarfile.TarFile) -> None:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        tar.addfile(member)

    return add


def both(*fills: Fill) -> Fill:
    def add(tar: tarfile.TarFile) -> None:
        for fill in fills:
            fill(tar)

    return add


def opened(path: Path, tmp_path: Path, limit: int = 10**7) -> dict[str, int]:
    return unpack(path, tmp_path / "into", limit=limit, progress=lambda *_: None)


HOSTILE = {
    "climbs": (file("../evil"), "plain relative"),
    "climbs inside": (file("a/../../evil"), "plain relative"),
    "absolute": (file("/tmp/evil"), "plain relative"),
    "control character": (file("a\x1b[2J"), "plain relative"),
    "backslash": (file("..\\evil"), "plain relative"),
    "long": (file("a" * 600), "plain relative"),
    "link": (other("a", tarfile.SYMTYPE, "/etc/passwd"), "found a link"),
    "hard link": (both(file("b"), other("a", tarfile.LNKTYPE, "b")), "found a link"),
    "write through a link": (both(other("a", tarfile.SYMTYPE, "/tmp"), file("a/evil")), "found a link"),
    "device": (other("a", tarfile.CHRTYPE), "found a device"),
    "pipe": (other("a", tarfile.FIFOTYPE), "found a device"),
    "twice": (both(file("a"), file("a")), "twice"),
    "file as a folder": (both(file("a"), file("a/b")), "as a file and as a folder"),
    "folder below a file": (both(file("a"), other("a/b", tarfile.DIRTYPE)), "as a file and as a folder"),
    "name that no disk takes": (file("a" * 300), "plain relative"),
    "folder as a file": (both(other("a", tarfile.DIRTYPE), file("a")), "as a file and as a folder"),
    "too large": (file("a", 20_000_000), "more than 10000000 bytes unpacked"),
    "many that are too large together": (both(*(file(f"a{n}", 4_000_000) for n in range(4))), "more than 10000000 bytes"),
    "sparse": (file("a", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}), "(sparse file|damaged)"),
    "header of its own length": (file("a", pax_headers={"comment": "x" * 5_000_000}), "damaged"),
    "header upon header": (both(*[other("a", tarfile.XHDTYPE)] * 3000), "damaged"),
    "empty": (both(), "no file"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_and_nothing_is_outside(name: str, tmp_path: Path) -> None:
    fill, said = HOSTILE[name]
    path = packed(tmp_path / "m.tar", fill)
    with pytest.raises(Misconfigured, match=said):
        opened(path, tmp_path)
    assert {each.name for each in tmp_path.iterdir()} <= {"m.tar", "into"}
    assert not Path("/tmp/evil").exists()


def test_more_members_than_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_FILES", 3)
    with pytest.raises(Misconfigured, match="more than 3 members"):
        opened(packed(tmp_path / "m.tar", both(*(file(f"a{n}") for n in range(4)))), tmp_path)


def test_neither_rights_nor_owners_are_taken_from_it(tmp_path: Path) -> None:
    opened(packed(tmp_path / "m.tar", file("a", mode=0o6777, uid=0)), tmp_path)
    assert (tmp_path / "into" / "a").stat().st_mode & 0o7111 == 0


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("pack", ["tar", "gz", "zst"])
def test_one_that_ends_early_is_damaged(pack: str, keep: float, tmp_path: Path) -> None:
    path = tmp_path / "m"
    with tarfile.open(path, "w:gz" if pack == "gz" else "w") as tar:
        for n in range(20):
            member = tarfile.TarInfo(f"a{n}")
            data = bytes((n * i) % 251 for i in range(5000))
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    data = zstd.compress(path.read_bytes()) if pack == "zst" else path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(Misconfigured, match="damaged"):
        opened(path, tmp_path)


@pytest.mark.parametrize("pack", ["gz", "zst"])
def test_a_bomb_ends_at_the_limit(pack: str, tmp_path: Path) -> None:
    path = tmp_path / "m"
    with tarfile.open(path, "w:gz" if pack == "gz" else "w") as tar:
        file("a", 60_000_000)(tar)
    if pack == "zst":
        path.write_bytes(zstd.compress(path.read_bytes()))
    assert path.stat().st_size < 100_000
    with pytest.raises(Misconfigured, match="more than 10000000 bytes"):
        opened(path, tmp_path)


def test_a_volume_without_room_may_get_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "SPARE", 1 << 60)
    with pytest.raises(ModelNotFetched, match="enlarge the volume"):
        opened(packed(tmp_path / "m.tar", file("a")), tmp_path)


def test_a_volume_that_fills_up_meanwhile_may_get_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(ModelNotFetched, match="found the volume full"):
        opened(packed(tmp_path / "m.tar", file("a")), tmp_path)


def test_what_is_an_archive_is_told_by_its_bytes(tmp_path: Path) -> None:
    for name, data in {"tar": packed(tmp_path / "t", file("a")).read_bytes(), "text": b"abc", "none": b""}.items():
        path = tmp_path / name
        path.write_bytes(data)
        assert is_archive(path) is (name == "tar")


DIGEST = "ab" * 32


def test_a_list_as_sha256sum_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "SUMS"
    path.write_text(f"{DIGEST}  ./a/b\n{DIGEST.upper()} *c d\n\n")
    assert read_list(path, "SUMS") == {"a/b": DIGEST, "c d": DIGEST}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{DIGEST}  ../a", "plain relative"),
        (f"{DIGEST}  /a", "plain relative"),
        (f"{DIGEST}  a\n{DIGEST}  ./a", "second time"),
        (f"{DIGEST}  a/b/c\n{DIGEST}  a", "'a/b/c' below the name of a file"),
        (f"{DIGEST}  {'é' * 128}", "plain relative"),
        (f"{DIGEST}  a\vb", "expected a sha256"),
        (f"{DIGEST[:-1]}  a", "SUMS:1: expected a sha256"),
        ("", "found 0 files"),
        ("<html>", "expected a sha256"),
    ],
)
def test_a_list_that_is_wrong(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "SUMS"
    path.write_text(text)
    with pytest.raises(Misconfigured, match=said):
        read_list(path, "SUMS")


def test_what_is_neither(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(Misconfigured, match="neither an archive"):
        read_list(path, "weights")
