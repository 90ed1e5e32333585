"""One suite for the places a model can be fetched from: a real web server, a real S3 store, a folder."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import ssl
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import obstore
import pytest
from aiohttp import web
from backports import zstd

from certificates import Authority
from front import Front
from omniguard.adapters.model_files import Fetched, ModelFolder, ModelNotFetched, ModelSource, model_source
from omniguard.adapters.model_files.folder import STAMP
from omniguard.errors import Misconfigured
from origins import KEYS, S3Server, web_server

FILES = {"config.json": b"{}", "deep/model-1.safetensors": os.urandom(3_000_000), "deep/empty": b""}


@dataclass
class Place:
    """Where an object is put, and a source of it."""

    put: Callable[[str, bytes], Awaitable[None]]
    source: Callable[[str], ModelSource]


async def file_answer(folder: Path, request: web.Request) -> web.StreamResponse:
    path = folder / request.match_info["path"]
    return web.FileResponse(path) if path.is_file() else web.Response(status=404)


@pytest.fixture(params=["http", "s3", "folder"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    folder = tmp_path / "origin"

    async def write(name: str, data: bytes) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

    if request.param == "folder":
        yield Place(write, lambda name: model_source(str(folder / name)))
    elif request.param == "http":
        async with web_server(lambda asked: file_answer(folder, asked)) as server:
            yield Place(write, lambda name: model_source(server.url(f"{name}?signature=secret")))
    else:
        s3: S3Server = request.getfixturevalue("s3")
        prefix = tmp_path.name

        async def put(name: str, data: bytes) -> None:
            await obstore.put_async(s3.bucket("models"), f"{prefix}/{name}", data)

        yield Place(put, lambda name: model_source(f"s3://models/{prefix}/{name}", endpoint=s3.endpoint, credentials=KEYS))


def tar(files: dict[str, bytes], top: str = "", packed: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz" if packed == "gz" else "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{top}{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return zstd.compress(out.getvalue()) if packed == "zst" else out.getvalue()


def sums(files: dict[str, bytes]) -> bytes:
    return "".join(f"{hashlib.sha256(data).hexdigest()}  ./{name}\n" for name, data in files.items()).encode()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def fetch(
    source: ModelSource, to: Path, sha256: str, *, replace: bool = False, limit: int = 10**9, pauses: tuple[float, ...] = ()
) -> Fetched:
    folder = ModelFolder(to, limit=limit, progress=lambda *_: None, pauses=pauses)
    return await folder.ensure(source, sha256, replace=replace)


def held(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != STAMP
    }


def around(to: Path) -> set[str]:
    """What a fetch left beside the folder; its lock stays."""
    return {path.name for path in to.parent.iterdir()} - {to.name, f".{to.name}.lock"}


@pytest.mark.parametrize(("packed", "top"), [("", ""), ("gz", "guard-7b/"), ("zst", "./guard-7b/")])
async def test_an_archive_is_unpacked_and_a_second_run_does_nothing(place: Place, tmp_path: Path, packed: str, top: str) -> None:
    data = tar(FILES, top, packed)
    await place.put("model.bin", data)
    to = tmp_path / "volume" / "guard"
    assert await fetch(place.source("model.bin"), to, sha(data)) == Fetched(False, 3, sum(map(len, FILES.values())))
    assert (held(to), around(to)) == (FILES, set())
    before = to.stat().st_mtime_ns
    assert (await fetch(place.source("model.bin"), to, sha(data))).already
    assert to.stat().st_mtime_ns == before
    assert "secret" not in (to / STAMP).read_text()


async def test_a_list_brings_each_file_that_it_names(place: Place, tmp_path: Path) -> None:
    for name, data in {**FILES, "SHA256SUMS": sums(FILES)}.items():
        await place.put(f"guard/{name}", data)
    to = tmp_path / "volume" / "guard"
    assert not (await fetch(place.source("guard/SHA256SUMS"), to, sha(sums(FILES)))).already
    assert (held(to), around(to)) == (FILES, set())


async def test_a_file_that_is_not_as_listed_leaves_nothing_in_place_and_the_rest_is_kept(place: Place, tmp_path: Path) -> None:
    listed = sums(FILES)
    for name, data in {**FILES, "SHA256SUMS": listed, "deep/empty": b"not empty"}.items():
        await place.put(name, data)
    to = tmp_path / "guard"
    with pytest.raises(Misconfigured, match=r"deep/empty: found bytes with the sha256 .*; the copy was deleted"):
        await fetch(place.source("SHA256SUMS"), to, sha(listed))
    assert not to.exists()
    await place.put("deep/empty", b"")
    await place.put("config.json", b"changed, and not asked for again")
    await fetch(place.source("SHA256SUMS"), to, sha(listed))
    assert held(to) == FILES


async def test_a_wrong_digest_puts_nothing_in_place(place: Place, tmp_path: Path) -> None:
    data = tar(FILES)
    await place.put("m.tar", data)
    with pytest.raises(Misconfigured, match=f"found bytes with the sha256 {sha(data)}, expected {sha(b'')}"):
        await fetch(place.source("m.tar"), tmp_path / "guard", sha(b""))
    assert not (tmp_path / "guard").exists()
    await fetch(place.source("m.tar"), tmp_path / "guard", sha(data))


async def test_what_is_not_there_must_be_corrected(place: Place, tmp_path: Path) -> None:
    await place.put("there", b"")
    with pytest.raises(Misconfigured):
        await fetch(place.source("none.tar"), tmp_path / "guard", sha(b""))


async def test_what_is_larger_than_allowed_is_not_fetched(place: Place, tmp_path: Path) -> None:
    data = tar(FILES)
    await place.put("m.tar", data)
    with pytest.raises(Misconfigured, match="--max-bytes"):
        await fetch(place.source("m.tar"), tmp_path / "guard", sha(data), limit=1_000_000)


async def test_another_model_is_replaced_only_when_told_and_what_is_not_ours_never(place: Place, tmp_path: Path) -> None:
    old, new, to = tar({"a": b"1"}), tar({"b": b"2"}), tmp_path / "guard"
    await place.put("old.tar", old)
    await place.put("new.tar", new)
    to.mkdir()
    await fetch(place.source("old.tar"), to, sha(old))
    with pytest.raises(Misconfigured, match="--replace"):
        await fetch(place.source("new.tar"), to, sha(new))
    assert held(to) == {"a": b"1"}
    await fetch(place.source("new.tar"), to, sha(new), replace=True)
    assert (held(to), around(to) - {"origin"}) == ({"b": b"2"}, set())
    (to / STAMP).unlink()
    with pytest.raises(Misconfigured, match="did not put there"):
        await fetch(place.source("old.tar"), to, sha(old), replace=True)


async def test_a_model_of_which_a_file_is_gone_is_fetched_again(place: Place, tmp_path: Path) -> None:
    data, to = tar(FILES), tmp_path / "guard"
    await place.put("m.tar", data)
    await fetch(place.source("m.tar"), to, sha(data))
    (to / "config.json").unlink()
    assert not (await fetch(place.source("m.tar"), to, sha(data))).already
    assert held(to) == FILES


async def test_two_that_want_it_at_once_fetch_it_once(place: Place, tmp_path: Path) -> None:
    data, to = tar(FILES), tmp_path / "guard"
    await place.put("m.tar", data)
    found = await asyncio.gather(*(fetch(place.source("m.tar"), to, sha(data)) for _ in range(3)))
    assert sorted(each.already for each in found) == [False, True, True]


class Breaking:
    """A web server that breaks off after some bytes of its first answers, and notes what is asked for."""

    def __init__(self, data: bytes, breaks: Sequence[int], written: Path) -> None:
        self.data, self.breaks, self.tag, self.written = data, list(breaks), '"1"', written
        self.ranges: list[str | None] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        fresh = request.headers.get("If-Range") == self.tag
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and fresh else 0
        headers = {"ETag": self.tag, "Content-Length": str(len(self.data) - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(self.data) - 1}/{len(self.data)}"
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        await response.prepare(request)
        if not self.breaks:
            await response.write(self.data[start:])
            return response
        await response.write(self.data[start : start + self.breaks.pop(0)])
        async with asyncio.timeout(20):
            while not self.written.exists() or self.written.stat().st_size <= start + 1:  # noqa: ASYNC110  a file tells nobody
                await asyncio.sleep(0.01)
        assert request.transport is not None
        request.transport.close()
        return response


async def test_a_download_that_breaks_off_goes_on_where_it_ended(tmp_path: Path) -> None:
    data = tar(FILES)
    breaking = Breaking(data, [1_000_000, 1_000_000], tmp_path / ".guard.fetching" / "source")
    async with web_server(breaking) as server:
        await fetch(model_source(server.url("m.tar")), tmp_path / "guard", sha(data), pauses=(0.0,))
    assert held(tmp_path / "guard") == FILES
    first, second, third = breaking.ranges
    assert first is None
    assert second is not None
    assert third is not None
    assert 0 < int(second[6:-1]) < int(third[6:-1]) < len(data)


async def test_the_next_run_goes_on_and_starts_anew_where_the_bytes_are_others(tmp_path: Path) -> None:
    data, other = tar(FILES), tar({"a": os.urandom(2_000_000)})
    breaking = Breaking(data, [1_000_000], tmp_path / ".guard.fetching" / "source")
    async with web_server(breaking) as server:
        source = model_source(server.url("m.tar"))
        with pytest.raises(ModelNotFetched, match="expected all bytes"):
            await fetch(source, tmp_path / "guard", sha(data))
        assert not (tmp_path / "guard").exists()
        await fetch(source, tmp_path / "guard", sha(data))
        assert breaking.ranges[1] is not None
        breaking.breaks, breaking.ranges, breaking.written = [1_000_000], [], tmp_path / ".second.fetching" / "source"
        with pytest.raises(ModelNotFetched):
            await fetch(source, tmp_path / "second", sha(other))
        breaking.data, breaking.tag = other, '"2"'
        await fetch(source, tmp_path / "second", sha(other))
        assert breaking.ranges[1] is not None
    assert set(held(tmp_path / "second")) == {"a"}


async def test_a_server_that_is_away_or_fails_may_come_back_and_one_that_refuses_must_be_corrected(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["path"]))

    async with web_server(answer) as server:
        for status in ("503", "429"):
            with pytest.raises(ModelNotFetched, match=f"answered {status}"):
                await fetch(model_source(server.url(status)), tmp_path / "guard", sha(b""))
        for status in ("401", "404"):
            with pytest.raises(Misconfigured, match=f"answered {status}"):
                await fetch(model_source(server.url(status)), tmp_path / "guard", sha(b""))
    with pytest.raises(ModelNotFetched, match="ClientConnectorError"):
        await fetch(model_source(server.url("m.tar")), tmp_path / "guard", sha(b""))


async def test_no_redirect_leaves_tls_not_even_on_the_way(tmp_path: Path) -> None:
    authority, data = Authority(tmp_path / "tls"), tar({"a": b"1"})
    files = authority.issue("server", hosts=("127.0.0.1",))
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(files.cert, files.key)
    trusted = ssl.create_default_context(cafile=authority.file)
    ways: dict[str, str] = {}

    async def answer(request: web.Request) -> web.Response:
        to = ways.get(request.path)
        return web.Response(body=data) if to is None else web.Response(status=302, headers={"Location": to})

    async with web_server(answer) as plain, Front(plain.port, served) as front:
        secure = f"https://127.0.0.1:{front.port}"
        ways |= {"/down": plain.url("m.tar"), "/way": plain.url("up"), "/up": f"{secure}/m.tar", "/moved": "/m.tar"}
        for path in ("down", "way"):
            with pytest.raises(Misconfigured, match="redirect to an address without TLS"):
                await fetch(model_source(f"{secure}/{path}", tls=trusted), tmp_path / "guard", sha(data))
        await fetch(model_source(f"{secure}/moved", tls=trusted), tmp_path / "guard", sha(data))
    assert held(tmp_path / "guard") == {"a": b"1"}


async def test_a_token_never_travels_without_tls() -> None:
    with pytest.raises(Misconfigured, match="without TLS"):
        model_source("http://127.0.0.1/m.tar", token="secret")


async def test_s3_needs_the_right_keys(s3: S3Server, tmp_path: Path) -> None:
    await obstore.put_async(s3.bucket("models"), "closed.tar", b"x")
    with pytest.raises(Misconfigured, match="credentials"):
        await fetch(model_source("s3://models/closed.tar", endpoint=s3.endpoint), tmp_path / "guard", sha(b"x"))
