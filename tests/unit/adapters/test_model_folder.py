"""What a fetch does where the disk or the source is not as it left them."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from aiohttp import web

from omniguard.adapters.model_files import ModelFolder, Progress, model_source
from omniguard.adapters.model_files.folder import STAMP
from omniguard.errors import Misconfigured
from origins import web_server


def packed(**files: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def fetch(source: Path, to: Path, sha256: str, progress: Progress = lambda *_: None) -> None:
    await ModelFolder(to, limit=10**9, progress=progress, pauses=()).ensure(model_source(str(source)), sha256)


async def test_an_archive_that_is_exchanged_behind_its_check_changes_nothing(tmp_path: Path) -> None:
    source, right, other = tmp_path / "m.tar", packed(weights=b"right"), packed(weights=b"other")
    source.write_bytes(right)

    def exchange(_name: str, done: int, total: int | None) -> None:
        if done == total == len(right):
            source.write_bytes(other)

    await fetch(source, tmp_path / "guard", sha(right), exchange)
    assert source.read_bytes() == other
    assert (tmp_path / "guard" / "weights").read_bytes() == b"right"


async def test_a_list_that_is_exchanged_behind_its_check_changes_nothing(tmp_path: Path) -> None:
    source, right, other = tmp_path / "SUMS", f"{sha(b'right')}  a\n".encode(), f"{sha(b'other')}  a\n".encode()
    source.write_bytes(right)
    (tmp_path / "a").write_bytes(b"right")

    def exchange(_name: str, done: int, total: int | None) -> None:
        if done == total == len(right):
            source.write_bytes(other)
            (tmp_path / "a").write_bytes(b"other")

    with pytest.raises(Misconfigured, match=f"expected {sha(b'right')}"):
        await fetch(source, tmp_path / "guard", sha(right), exchange)
    assert not (tmp_path / "guard").exists()


@pytest.mark.parametrize("name", [STAMP, f"{STAMP}/x"])
async def test_the_name_of_the_stamp_is_the_commands_own(name: str, tmp_path: Path) -> None:
    data = packed(**{name: b"1", "config.json": b"{}"})
    (tmp_path / "m.tar").write_bytes(data)
    with pytest.raises(Misconfigured, match=f"found something named {STAMP}"):
        await fetch(tmp_path / "m.tar", tmp_path / "guard", sha(data))


@pytest.mark.parametrize("stands", ["a link that leads nowhere", "a file as work folder"])
async def test_what_stands_in_the_way_is_named(stands: str, tmp_path: Path) -> None:
    data = packed(a=b"1")
    (tmp_path / "m.tar").write_bytes(data)
    if stands == "a file as work folder":
        (tmp_path / ".guard.fetching").write_text("mine")
    else:
        (tmp_path / "guard").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Misconfigured, match="guard"):
        await fetch(tmp_path / "m.tar", tmp_path / "guard", sha(data))


@pytest.mark.parametrize("address", ["https://[::1", "https://host:99999/m"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(Misconfigured, match="found an address that is none"):
        model_source(address)


@pytest.mark.parametrize("token", ["two\nlines", "tökén"])
def test_a_token_that_no_header_takes(token: str) -> None:
    with pytest.raises(Misconfigured, match="found a token that is no single line of ASCII"):
        model_source("https://host/m", token=token)


async def test_a_server_that_tells_an_absurd_size(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b"1", status=206, headers={"Content-Range": f"bytes 0-0/{'9' * 5000}"})

    async with web_server(answer) as server:
        folder = ModelFolder(tmp_path / "guard", limit=10**9, progress=lambda *_: None, pauses=())
        with pytest.raises(Misconfigured, match=sha(b"1")):
            await folder.ensure(model_source(server.url("m.tar")), sha(b"2"))
