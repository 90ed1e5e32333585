"""`file://` reads regular files below its roots, and nothing else on the machine."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from urllib.parse import quote

import pytest

from omniguard.adapters.fetch_file import fetch_file
from omniguard.adapters.sink import Sink
from omniguard.domain.fetching import FetchRules
from omniguard.domain.reason import Reason
from omniguard.errors import BadContent


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("root/deep", "root2", "into", "other"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "root/a").write_bytes(b"inside")
    (tmp_path / "root/deep/b").write_bytes(b"deeper")
    (tmp_path / "root/a%2e b").write_bytes(b"odd")
    (tmp_path / "root2/a").write_bytes(b"sibling")
    (tmp_path / "outside").write_bytes(b"outside")
    return tmp_path / "root"


async def read(uri: str, *roots: Path) -> bytes:
    into = roots[0].parent / "into" if roots else Path("/nonexistent")
    with Sink(into, 10_000_000) as sink:
        await fetch_file(uri, FetchRules(file_roots=tuple(map(str, roots))), sink)
    return sink.path.read_bytes()


async def refused(uri: str, reason: Reason, *roots: Path) -> None:
    before = os.listdir(roots[0].parent / "into")
    with pytest.raises(BadContent) as caught:
        await read(uri, *roots)
    assert caught.value.reason is reason, str(caught.value)
    assert os.listdir(roots[0].parent / "into") == before


@pytest.mark.parametrize("host", ["", "localhost", "LOCALHOST"])
async def test_reads_below_a_root(host: str, root: Path) -> None:
    assert await read(f"file://{host}{root}/a", root) == b"inside"
    assert await read(f"file://{host}{root}/deep/b", root) == b"deeper"


async def test_percent_encoding_is_decoded_once(root: Path) -> None:
    assert await read(f"file://{root}/{quote('a%2e b')}", root) == b"odd"
    assert await read(f"file://{root}/%61", root) == b"inside"


async def test_the_second_root_counts_too(root: Path) -> None:
    assert await read(f"file://{root}2/a", root, root.parent / "root2") == b"sibling"


@pytest.mark.parametrize(
    "path",
    [
        "{up}/outside",
        "{root}/../outside",
        "{root}/%2e%2e/outside",
        "{root}/..%2foutside",
        "{root}/deep/../../outside",
        "{root}2/a",
        "/etc/passwd",
        "/proc/self/environ",
        "/dev/zero",
        "/does/not/exist",
        "{root}",
        "{root}/",
        "{root}/deep",
    ],
)
async def test_what_is_not_a_file_below_a_root_is_forbidden(path: str, root: Path) -> None:
    await refused("file://" + path.format(root=root, up=root.parent), Reason.FORBIDDEN, root)


@pytest.mark.parametrize(
    "uri",
    [
        "file://host{root}/a",
        "file://host:1{root}/a",
        "file://u@localhost{root}/a",
        "file://{root}/a?x",
        "file://{root}/a#x",
        "file://{root}/a%00",
        "file://",
        "file://[::1{root}/a",
    ],
)
async def test_odd_uris_are_forbidden(uri: str, root: Path) -> None:
    await refused(uri.format(root=root), Reason.FORBIDDEN, root)


async def test_links_are_followed_only_within_the_roots(root: Path) -> None:
    (root / "in").symlink_to(root / "deep/b")
    (root / "out").symlink_to(root.parent / "outside")
    (root / "folder").symlink_to(root.parent / "root2")
    (root / "loop").symlink_to(root / "loop")
    assert await read(f"file://{root}/in", root) == b"deeper"
    await refused(f"file://{root}/out", Reason.FORBIDDEN, root)
    await refused(f"file://{root}/folder/a", Reason.FORBIDDEN, root)
    await refused(f"file://{root}/loop", Reason.FORBIDDEN, root)


async def test_a_link_swapped_in_after_the_check_is_not_followed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the folder and the file had been plain while the path was resolved."""
    (root / "swapped").symlink_to(root.parent / "outside")
    (root / "folder").symlink_to(root.parent / "root2")
    real = Path.resolve
    monkeypatch.setattr(Path, "resolve", lambda self, strict=False: self if self.is_relative_to(root) else real(self, strict))
    await refused(f"file://{root}/swapped", Reason.FORBIDDEN, root)
    await refused(f"file://{root}/folder/a", Reason.FORBIDDEN, root)


async def test_a_fifo_is_forbidden_and_holds_nobody(root: Path) -> None:
    os.mkfifo(root / "pipe")
    async with asyncio.timeout(30):
        await refused(f"file://{root}/pipe", Reason.FORBIDDEN, root)


async def test_a_missing_file_is_not_found(root: Path) -> None:
    await refused(f"file://{root}/none", Reason.NOT_FOUND, root)
    await refused(f"file://{root}/{'a' * 300}", Reason.NOT_FOUND, root)
    await refused(f"file://{root}/none/none", Reason.NOT_FOUND, root)


async def test_without_roots_nothing_is_read(root: Path) -> None:
    with pytest.raises(BadContent, match="file_roots"), Sink(root.parent / "into", 100) as sink:
        await fetch_file(f"file://{root}/a", FetchRules(), sink)


async def test_a_file_over_the_limit_is_too_large(root: Path) -> None:
    with pytest.raises(BadContent) as caught, Sink(root.parent / "into", 5) as sink:
        await fetch_file(f"file://{root}/a", FetchRules(file_roots=(str(root),)), sink)
    assert caught.value.reason is Reason.TOO_LARGE


async def test_a_large_file_arrives_whole(root: Path) -> None:
    data = os.urandom(3_500_000)
    (root / "large").write_bytes(data)
    assert await read(f"file://{root}/large", root) == data
