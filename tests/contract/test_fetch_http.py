"""HTTP under rules: how redirects, statuses, bodies and silence are taken."""

from __future__ import annotations

import asyncio
import gzip
import os
import time
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from fetching import GIF, LOCAL, fetch, gif, refused
from omniguard.adapters import fetch_http
from omniguard.domain.deadline import Deadline
from omniguard.domain.fetching import FetchRules
from omniguard.domain.reason import Reason
from origins import Handler, free_ports, web_server


def chain(length: int) -> Handler:
    async def serve(request: web.Request) -> web.StreamResponse:
        hop = int(request.path.strip("/"))
        if hop == length:
            return web.Response(body=GIF)
        return web.Response(status=301, headers={"Location": str(hop + 1)})

    return serve


@pytest.mark.parametrize(("length", "allowed"), [(0, 0), (1, 1), (3, 3), (3, 5)])
async def test_redirects_are_followed_as_often_as_allowed(length: int, allowed: int, tmp_path: Path) -> None:
    async with web_server(chain(length)) as server:
        rules = FetchRules(networks=LOCAL.networks, max_redirects=allowed)
        assert (await fetch(server.url("0"), tmp_path, rules)).size == len(GIF)


@pytest.mark.parametrize(("length", "allowed"), [(1, 0), (4, 3)])
async def test_one_redirect_more_is_forbidden(length: int, allowed: int, tmp_path: Path) -> None:
    async with web_server(chain(length)) as server:
        rules = FetchRules(networks=LOCAL.networks, max_redirects=allowed)
        assert "max_redirects" in await refused(server.url("0"), tmp_path, Reason.FORBIDDEN, rules=rules)
        assert len(server.seen) == allowed + 1


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        *((s, Reason.NOT_FOUND) for s in (204, 206, 304, 400, 404, 405, 410, 418)),
        *((s, Reason.FORBIDDEN) for s in (401, 403, 451)),
        *((s, Reason.FETCH_FAILED) for s in (408, 425, 429, 500, 502, 503, 504)),
    ],
)
async def test_statuses_that_pass_and_those_that_stay(status: int, reason: Reason, tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    async with web_server(answer) as server:
        message = await refused(server.url("x?token=secret"), tmp_path, reason)
        assert f"127.0.0.1 answered {status}" in message
        assert "secret" not in message


async def test_a_closed_port_may_open_later(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    await refused(f"http://127.0.0.1:{port}/x", tmp_path, Reason.FETCH_FAILED)


async def test_a_connection_reset_midway_may_pass(tmp_path: Path) -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(GIF) * 2)})
        await response.prepare(request)
        await response.write(GIF)
        assert request.transport is not None
        request.transport.close()
        return response

    async with web_server(broken) as server:
        await refused(server.url("x"), tmp_path, Reason.FETCH_FAILED)


async def endless(request: web.Request) -> web.StreamResponse:
    """Without a length, so that only counting ends it."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(GIF * 100)


async def silent(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(GIF)
    await asyncio.Event().wait()
    return response


async def test_a_body_without_end_is_too_large(tmp_path: Path) -> None:
    async with web_server(endless) as server:
        rules = FetchRules(networks=LOCAL.networks, max_bytes=1_000_000)
        await refused(server.url("x"), tmp_path, Reason.TOO_LARGE, rules=rules)


async def test_an_announced_size_over_the_limit_is_not_read(tmp_path: Path) -> None:
    async def announced(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000000000"})
        await response.prepare(request)
        await asyncio.Event().wait()
        return response

    async with web_server(announced) as server:
        await refused(
            server.url("x"), tmp_path, Reason.TOO_LARGE, rules=FetchRules(networks=LOCAL.networks, max_bytes=999_999_999)
        )


async def test_a_sender_that_falls_silent_costs_at_most_the_deadline(tmp_path: Path) -> None:
    async with web_server(silent) as server:
        message = await refused(server.url("x?secret"), tmp_path, Reason.DEADLINE, deadline=Deadline(time.monotonic() + 0.3))
        assert "secret" not in message


async def test_a_sender_that_falls_silent_ends_without_a_deadline_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_http, "TIMEOUT", aiohttp.ClientTimeout(total=None, sock_read=0.2))
    async with web_server(silent) as server:
        await refused(server.url("x"), tmp_path, Reason.FETCH_FAILED)


async def test_identity_is_asked_for_and_an_encoding_is_refused(tmp_path: Path) -> None:
    asked: list[str] = []

    async def packed(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers["Accept-Encoding"])
        return web.Response(body=gzip.compress(GIF), headers={"Content-Encoding": "gzip"})

    async with web_server(packed) as server:
        assert "expected identity" in await refused(server.url("x"), tmp_path, Reason.UNSUPPORTED)
    assert asked == ["identity"]


async def test_proxies_of_the_environment_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    async with web_server(gif) as server:
        assert (await fetch(server.url("x"), tmp_path)).size == len(GIF)


async def test_a_signed_url_is_sent_as_it_stands(tmp_path: Path) -> None:
    asked: list[str] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        asked.append(request.raw_path)
        return web.Response(body=GIF)

    path = "a%2Fb/%7Ec?sig=a%2Bb%2f%3D&x=1+2"
    async with web_server(serve) as server:
        await fetch(server.url(path), tmp_path)
        await fetch(server.url("grüße.gif"), tmp_path)
    assert asked == [f"/{path}", "/gr%C3%BC%C3%9Fe.gif"]


async def test_cancelling_leaves_nothing_behind(tmp_path: Path) -> None:
    async with web_server(silent) as server:
        running = asyncio.create_task(fetch(server.url("x"), tmp_path))
        while not server.seen:  # noqa: ASYNC110 - the server has no event
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert os.listdir(tmp_path) == []
