"""What every place to fetch from owes to the media store: the twin, and real HTTP, S3 and files."""

from __future__ import annotations

import hashlib
import io
import math
import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import obstore
import pytest
from aiohttp import web
from PIL import Image

from omniguard.adapters.media_store import PartStore, fetchers
from omniguard.adapters.memory_media import memory_media_store
from omniguard.domain.content import FetchedPart, Modality, Part
from omniguard.domain.deadline import NEVER, Deadline
from omniguard.domain.fetching import FetchRules
from omniguard.domain.reason import Reason
from omniguard.errors import BadContent, Retryable
from origins import KEYS, Origin, web_server

WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(32)


def picture(kind: str = "PNG", side: int = 8) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((side, side), 50).save(out, kind)
    return out.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def real() -> PartStore:
    return PartStore(fetchers({"reader": KEYS}.__getitem__))


@pytest.fixture(params=["memory", "http", "s3", "file"])
async def origin(request: pytest.FixtureRequest, tmp_path: Path, real: PartStore) -> AsyncIterator[Origin]:
    objects: dict[str, bytes] = {}
    if request.param == "memory":

        def put(name: str, data: bytes) -> str:
            objects[f"s3://uploads/{name}"] = data
            return f"s3://uploads/{name}"

        yield Origin(memory_media_store(objects), FetchRules(), put)
    elif request.param == "http":

        async def serve(asked: web.Request) -> web.Response:
            name = asked.path.strip("/")
            return web.Response(body=objects[name]) if name in objects else web.Response(status=404)

        async with web_server(serve) as server:

            def put(name: str, data: bytes) -> str:
                objects[name] = data
                return server.url(name)

            yield Origin(real, FetchRules(networks=("127.0.0.0/8",)), put)
    elif request.param == "s3":
        server = request.getfixturevalue("s3")

        def put(name: str, data: bytes) -> str:
            obstore.put(server.bucket("uploads"), f"acme/{name}", data)
            return f"s3://uploads/acme/{name}"

        yield Origin(real, FetchRules(s3=(server.source("uploads", "acme"),)), put)
    else:
        root = tmp_path / "root"
        root.mkdir()

        def put(name: str, data: bytes) -> str:
            (root / name).write_bytes(data)
            return f"file://{root}/{name}"

        yield Origin(real, FetchRules(file_roots=(str(root),)), put)


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "event"
    folder.mkdir()
    return folder


class Case:
    """One part fetched from one origin."""

    def __init__(self, origin: Origin, into: Path) -> None:
        self.origin, self.into = origin, into

    async def fetch(self, part: Part, deadline: Deadline = NEVER, **rules: object) -> FetchedPart:
        return await self.origin.store.fetch(part, replace(self.origin.rules, **rules), self.into, deadline)

    async def refused(self, part: Part, reason: Reason, deadline: Deadline = NEVER, **rules: object) -> str:
        """Fetch, expect the typed refusal, and that nothing is left behind; return the message."""
        before = set(self.into.iterdir())
        with pytest.raises((BadContent, Retryable)) as caught:
            await self.fetch(part, deadline, **rules)
        assert caught.value.reason is reason, str(caught.value)
        assert caught.value.part == part.id
        assert isinstance(caught.value, Retryable) == reason.passing
        assert set(self.into.iterdir()) == before
        return str(caught.value)


@pytest.fixture
def case(origin: Origin, into: Path) -> Case:
    return Case(origin, into)


def image(uri: str, **fields: object) -> Part:
    return Part("p1", Modality.IMAGE, uri=uri, **fields)


async def test_streams_into_a_file_and_hashes_what_it_read(case: Case, into: Path) -> None:
    data = picture(side=1200)
    assert len(data) > 1024 * 1024
    fetched = await case.fetch(image(case.origin.put("a.png", data), sha256=sha256(data).upper(), media_type="image/png"))
    assert (fetched.size, fetched.sha256, fetched.media_type) == (len(data), sha256(data), "image/png")
    assert fetched.path is not None
    assert fetched.path.parent == into
    assert fetched.path.read_bytes() == data


async def test_two_parts_with_one_id_get_two_files(case: Case) -> None:
    uri = case.origin.put("a.png", picture())
    first, second = await case.fetch(image(uri)), await case.fetch(image(uri))
    assert first.path != second.path


async def test_an_id_that_looks_like_a_path_stays_in_the_folder(case: Case, into: Path) -> None:
    fetched = await case.fetch(Part("../../x", Modality.IMAGE, uri=case.origin.put("a.png", picture())))
    assert fetched.path is not None
    assert fetched.path.parent == into


async def test_another_hash_than_claimed_is_a_mismatch(case: Case) -> None:
    message = await case.refused(image(case.origin.put("a.png", picture()), sha256="0" * 64), Reason.HASH_MISMATCH)
    assert "expected the one in the event" in message


@pytest.mark.parametrize("over", [1, 5000])
async def test_one_byte_over_the_limit_is_too_large(case: Case, over: int) -> None:
    data = picture(side=200)
    await case.refused(image(case.origin.put("a.png", data)), Reason.TOO_LARGE, max_bytes=len(data) - over)
    assert (await case.fetch(image(case.origin.put("a.png", data)), max_bytes=len(data))).size == len(data)


async def test_what_is_not_there_is_not_found(case: Case) -> None:
    uri = case.origin.put("a.png", picture())
    await case.refused(image(uri.replace("a.png", "none.png")), Reason.NOT_FOUND)


@pytest.mark.parametrize("data", [b"", b"just words", b"<html></html>"])
async def test_bytes_of_no_known_type_are_a_mismatch(case: Case, data: bytes) -> None:
    await case.refused(image(case.origin.put("a.png", data)), Reason.TYPE_MISMATCH)


async def test_bytes_of_another_modality_are_a_mismatch(case: Case) -> None:
    assert "audio/wav" in await case.refused(image(case.origin.put("a.png", WAV)), Reason.TYPE_MISMATCH)


async def test_a_claim_of_another_format_is_a_mismatch(case: Case) -> None:
    uri = case.origin.put("a.png", picture("JPEG"))
    assert "image/jpeg" in await case.refused(image(uri, media_type="image/png"), Reason.TYPE_MISMATCH)
    await case.refused(image(uri, media_type="video/mp4"), Reason.TYPE_MISMATCH)


@pytest.mark.parametrize("claim", ["image/jpeg", "IMAGE/JPG; q=1", "application/octet-stream", None])
async def test_a_claim_may_be_spelt_in_the_usual_ways(case: Case, claim: str | None) -> None:
    uri = case.origin.put("a.jpg", picture("JPEG"))
    assert (await case.fetch(image(uri, media_type=claim))).media_type == "image/jpeg"


async def test_text_by_reference_comes_back_in_the_part(case: Case, into: Path) -> None:
    data = "grüße".encode()
    fetched = await case.fetch(
        Part("t", Modality.TEXT, uri=case.origin.put("t.txt", data), media_type="text/plain; charset=utf-8")
    )
    assert (fetched.part.text, fetched.sha256, fetched.media_type, fetched.path) == ("grüße", sha256(data), "text/plain", None)
    assert os.listdir(into) == []


async def test_text_that_is_not_utf8_is_a_mismatch(case: Case) -> None:
    await case.refused(Part("t", Modality.TEXT, uri=case.origin.put("t.txt", b"\xff\xfe\x00")), Reason.TYPE_MISMATCH)


async def test_a_deadline_that_has_passed_ends_before_anything_is_asked(case: Case) -> None:
    await case.refused(image(case.origin.put("a.png", picture())), Reason.DEADLINE, Deadline(time.monotonic() - 1))


async def test_a_finite_deadline_ahead_is_no_hindrance(case: Case) -> None:
    part = image(case.origin.put("a.png", picture()))
    assert (await case.fetch(part, Deadline(time.monotonic() + 60))).size > 0
    assert math.isinf(NEVER.at)


async def test_a_scheme_that_nobody_reads_is_forbidden(case: Case) -> None:
    for uri in ("ftp://host/a.png", "gopher://host", "data:image/png;base64,AA", "/etc/passwd", "", "file:/etc/passwd"):
        message = await case.refused(image(uri), Reason.FORBIDDEN)
        assert "expected one of file, http, https, s3" in message


async def test_inline_parts_need_no_place(case: Case) -> None:
    data, text = picture(), "two words"
    shown = await case.fetch(Part("p", Modality.IMAGE, data=data))
    said = await case.fetch(Part("t", Modality.TEXT, text=text))
    assert shown.path is not None
    assert shown.path.read_bytes() == data
    assert (said.sha256, said.size, said.media_type, said.path) == (sha256(text.encode()), 9, "text/plain", None)
    assert said.part.text == text


async def test_inline_parts_are_checked_like_others(case: Case) -> None:
    await case.refused(Part("p", Modality.IMAGE, data=WAV), Reason.TYPE_MISMATCH)
    await case.refused(Part("p", Modality.IMAGE, data=picture(), sha256="0" * 64), Reason.HASH_MISMATCH)
    await case.refused(Part("p", Modality.IMAGE, data=picture()), Reason.TOO_LARGE, max_bytes=10)
    await case.refused(Part("p", Modality.IMAGE), Reason.INVALID_EVENT)
    await case.refused(Part("t", Modality.TEXT, text="words"), Reason.TOO_LARGE, max_bytes=4)
    await case.refused(Part("t", Modality.TEXT, text="words", sha256="0" * 64), Reason.HASH_MISMATCH)
    await case.refused(Part("t", Modality.TEXT, text="words", media_type="image/png"), Reason.TYPE_MISMATCH)


async def test_a_container_may_hold_sound_alone(case: Case) -> None:
    mp4 = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2" + bytes(64)
    uri = case.origin.put("a.mp4", mp4)
    assert (await case.fetch(Part("a", Modality.AUDIO, uri=uri, media_type="audio/mp4"))).media_type == "video/mp4"
    assert (await case.fetch(Part("v", Modality.VIDEO, uri=uri, media_type="video/quicktime"))).media_type == "video/mp4"
    await case.refused(Part("i", Modality.IMAGE, uri=uri), Reason.TYPE_MISMATCH)


async def test_messages_hold_no_query_and_no_path(case: Case) -> None:
    uri = case.origin.put("a.png", b"secret-bytes")
    for part in (image(uri), image(uri.replace("a.png", "b.png?token=secret")), image("bad://secret")):
        with pytest.raises((BadContent, Retryable)) as caught:
            await case.fetch(part)
        assert "secret" not in str(caught.value)
