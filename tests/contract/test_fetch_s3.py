"""S3 under rules, on a real store: what is listed, who may read, and how failures read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import obstore
import pytest
from aiohttp import web

from omniguard.adapters.breakers import STORE_RULES
from omniguard.adapters.fetch_s3 import S3Credentials, S3Fetcher
from omniguard.adapters.media_store import PartStore
from omniguard.domain.content import FetchedPart, Modality, Part
from omniguard.domain.deadline import NEVER
from omniguard.domain.fetching import FetchRules, S3Source
from omniguard.domain.reason import Reason
from omniguard.errors import BadContent, Retryable
from origins import KEYS, S3Server, free_ports, web_server

GIF = b"GIF89a" + bytes(100)
NAMES = {"reader": KEYS, "stranger": S3Credentials("nobody", "nothing"), "forger": S3Credentials("key", "other")}


@pytest.fixture(scope="module")
def server(s3: S3Server) -> S3Server:
    for key in ("acme/a.gif", "acme2/a.gif", "a.gif", "acme/deep/er/ü b+c=1%zz.gif"):
        obstore.put(s3.bucket("pictures"), key, GIF)
    obstore.put(s3.bucket("others"), "acme/a.gif", GIF)
    return s3


async def fetch(uri: str, into: Path, *sources: S3Source) -> FetchedPart:
    store = PartStore({"s3": S3Fetcher(NAMES.__getitem__)})
    return await store.fetch(Part("p", Modality.IMAGE, uri=uri), FetchRules(s3=sources), into, NEVER)


async def refused(uri: str, into: Path, reason: Reason, *sources: S3Source) -> str:
    with pytest.raises((BadContent, Retryable)) as caught:
        await fetch(uri, into, *sources)
    assert caught.value.reason is reason, str(caught.value)
    assert os.listdir(into) == []
    return str(caught.value)


@pytest.mark.parametrize("prefix", ["", "acme", "acme/", "/acme/"])
async def test_an_object_below_the_prefix_is_read(prefix: str, server: S3Server, tmp_path: Path) -> None:
    assert (await fetch("s3://pictures/acme/a.gif", tmp_path, server.source("pictures", prefix))).size == len(GIF)


async def test_a_key_is_taken_as_it_stands(server: S3Server, tmp_path: Path) -> None:
    fetched = await fetch("s3://pictures/acme/deep/er/ü b+c=1%zz.gif", tmp_path, server.source("pictures", "acme"))
    assert fetched.size == len(GIF)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://pictures/acme2/a.gif",
        "s3://pictures/a.gif",
        "s3://pictures/acme",
        "s3://others/acme/a.gif",
        "s3://PICTURES/acme/a.gif",
        "s3://reader@pictures/acme/a.gif",
        "s3://pictures:80/acme/a.gif",
        "s3://pictures/acme/../acme2/a.gif",
        "s3://pictures/acme/./a.gif",
        "s3://pictures/acme//a.gif",
        "s3://pictures//acme/a.gif",
        "s3://pictures/acme/..%2facme2/a.gif",
        "s3://pictures/acme/%2e%2e/acme2/a.gif",
        "s3://pictures/acme/%252e%252e/acme2/a.gif",
        "s3://pictures/acme/%2E%2E/acme2/a.gif",
        "s3://pictures/acme/%c0%ae%c0%ae/acme2/a.gif",
        "s3://pictures/acme%2f..%2facme2/a.gif",
        "s3://pictures/acm",
        "s3://pictures/acmes/../acme/a.gif",
        "s3://pictures/ACME/a.gif",
        "s3://pictures/acme/..\\acme2\\a.gif",
        "s3://pictures/acme/%5c..%5ca.gif",
        "s3://pictures/acme/a.gif?versionId=1",
        "s3://pictures/acme/a.gif#x",
        "s3://pictures/acme/a\x00.gif",
        "s3://pictures/acme/a\n.gif",
        "s3://pictures",
        "s3://pictures/",
        "s3://",
        "s3:///acme/a.gif",
    ],
)
async def test_what_is_not_listed_or_not_plain_is_forbidden(uri: str, server: S3Server, tmp_path: Path) -> None:
    await refused(uri, tmp_path, Reason.FORBIDDEN, server.source("pictures", "acme"))


@pytest.mark.parametrize("key", ["acme/../acme2/a", "acme/./a", "acme//a", "acme/", "acme/%2e%2e/a", "acme/a?x", "acme/a\\b"])
async def test_odd_keys_are_refused_before_the_store_sees_them(key: str, tmp_path: Path) -> None:
    nowhere = S3Source("pictures", "", "http://127.0.0.1:1", None, None)
    assert "dotted or encoded" in await refused(f"s3://pictures/{key}", tmp_path, Reason.FORBIDDEN, nowhere)


async def test_without_a_listed_source_nothing_is_read(tmp_path: Path) -> None:
    assert "list it in the tenant's fetch rules" in await refused("s3://pictures/acme/a.gif", tmp_path, Reason.FORBIDDEN)


async def test_the_first_source_that_holds_the_key_is_used(server: S3Server, tmp_path: Path) -> None:
    wrong = server.source("pictures", "", "stranger")
    await refused("s3://pictures/acme/a.gif", tmp_path, Reason.FORBIDDEN, wrong, server.source("pictures", "acme"))
    assert (await fetch("s3://pictures/acme/a.gif", tmp_path, server.source("pictures", "acme"), wrong)).size == len(GIF)


@pytest.mark.parametrize("credentials", ["stranger", "forger", None])
async def test_without_the_right_credentials_the_store_refuses(credentials: str | None, server: S3Server, tmp_path: Path) -> None:
    message = await refused(
        "s3://pictures/acme/a.gif", tmp_path, Reason.FORBIDDEN, server.source("pictures", "acme", credentials)
    )
    assert "nothing" not in message


async def test_a_source_without_credentials_never_uses_those_of_the_process(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS.secret_access_key)
    await refused("s3://pictures/acme/a.gif", tmp_path, Reason.FORBIDDEN, server.source("pictures", "acme", None))


async def test_named_credentials_are_not_mixed_with_those_of_the_process(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SKIP_SIGNATURE": "true", "ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "SESSION_TOKEN": "x"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    assert (await fetch("s3://pictures/acme/a.gif", tmp_path, server.source("pictures", "acme"))).size == len(GIF)


async def test_proxies_of_the_environment_are_not_used(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    assert (await fetch("s3://pictures/acme/a.gif", tmp_path, server.source("pictures", "acme"))).size == len(GIF)


@pytest.mark.parametrize("uri", ["s3://pictures/acme/none.gif", "s3://nowhere/acme/a.gif"])
async def test_an_object_or_bucket_that_is_not_there_is_not_found(uri: str, server: S3Server, tmp_path: Path) -> None:
    await refused(uri, tmp_path, Reason.NOT_FOUND, server.source("pictures", "acme"), server.source("nowhere"))


async def test_a_store_that_is_away_may_come_back(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    away = S3Source("pictures", "", f"http://127.0.0.1:{port}", None, "reader")
    message = await refused("s3://pictures/acme/a.gif", tmp_path, Reason.FETCH_FAILED, away)
    assert "a.gif" not in message


@pytest.mark.parametrize("status", [400, 405, 409, 412, 416])
async def test_keys_that_a_store_refuses_close_it_to_nobody(status: int, tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        if "odd" in request.path:
            return web.Response(status=status, text="<Error><Code>InvalidRequest</Code></Error>")
        return web.Response(body=GIF, headers={"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT", "ETag": '"1"'})

    async with web_server(answer) as store:
        reader = PartStore({"s3": S3Fetcher(NAMES.__getitem__)})
        rules = FetchRules(s3=(S3Source("pictures", "", store.url("").rstrip("/"), None, None),))
        for _ in range(STORE_RULES.failures + 1):
            with pytest.raises(Retryable):
                await reader.fetch(Part("p", Modality.IMAGE, uri="s3://pictures/odd.gif"), rules, tmp_path, NEVER)
        fine = await reader.fetch(Part("p", Modality.IMAGE, uri="s3://pictures/fine.gif"), rules, tmp_path, NEVER)
    assert fine.size == len(GIF)


async def test_a_key_that_no_store_takes_is_not_asked_for(tmp_path: Path) -> None:
    nowhere = S3Source("pictures", "", "http://127.0.0.1:1", None, None)
    assert "longer" in await refused(f"s3://pictures/{'ü' * 513}", tmp_path, Reason.FORBIDDEN, nowhere)


async def test_rotated_credentials_take_effect_at_the_next_fetch(server: S3Server, tmp_path: Path) -> None:
    names: dict[str, Any] = {"reader": NAMES["forger"]}
    store = PartStore({"s3": S3Fetcher(names.__getitem__)})
    part, rules = Part("p", Modality.IMAGE, uri="s3://pictures/acme/a.gif"), FetchRules(s3=(server.source("pictures"),))
    with pytest.raises(BadContent):
        await store.fetch(part, rules, tmp_path, NEVER)
    names["reader"] = KEYS
    assert (await store.fetch(part, rules, tmp_path, NEVER)).size == len(GIF)


def test_secrets_do_not_show() -> None:
    assert "secret" not in repr(S3Credentials("key", "secret", "secret"))
