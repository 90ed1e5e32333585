"""Where HTTP may connect: the SSRF table, names that lie, answers that change, redirects inside."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import ResolveResult

from fetching import GIF, LOCAL, Answers, fetch, gif, refused
from omniguard.domain.fetching import FetchRules
from omniguard.domain.reason import Reason
from omniguard.errors import Misconfigured
from origins import WebServer, web_server

NOT_PUBLIC = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://127.255.255.254/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0x0.0x0.0x1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://127.0.0.1./",
    "http://0/",
    "http://0.0.0.0/",
    "http://[::]/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:8.8.8.8]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::a00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
    "http://[100::1]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://168.63.129.16/",
    "http://100.100.100.200/",
    "http://100.64.0.1/",
    "http://10.0.0.1/",
    "http://10.1/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.1.1/",
    "http://192.0.0.192/",
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://198.51.100.1/",
    "http://203.0.113.1/",
    "http://224.0.0.1/",
    "http://239.255.255.250/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "https://127.0.0.1/",
    "HTTP://127.0.0.1/",
    "http://localhost/",
    "http://LocalHost/",
    "http://0x7f.1/",
    "http://127.0.1/",
    "http://0x7f.0.0.0x1/",
    "http://\uff11\uff12\uff17.0.0.1/",  # full-width digits
    "http://\u2460\u2461\u2466.0.0.1/",  # digits in circles
    "http://127\u30020\u30020\u30021/",  # ideographic full stops
    "http://127.0.0.1%2f@8.8.8.8/",
    "http://[::ffff:169.254.169.254]/",
    "http://[0:0:0:0:0:ffff:a9fe:a9fe]/",
    "http://[::ffff:0:a9fe:a9fe]/",
    "http://[::a9fe:a9fe]/",
    "http://[fe80::1%25lo]/",
    "http://[fd20:ce::254]/",
    "http://[fd00:c1::a9fe:a9fe]/",
    "http://169.254.170.2/v2/credentials",
    "http://192.88.99.1/",
]
MALFORMED = [
    "http://",
    "http:///path",
    "http://user@127.0.0.1/",
    "http://user:secret@8.8.8.8/",
    "http://@8.8.8.8/",
    "http://8.8.8.8:80@127.0.0.1/",
    "http://8.8.8.8\\@127.0.0.1/",
    "http://8.8.8.8/a b",
    "http://8.8.8.8/\r\nHost: inside",
    "http://8.8.8.8/\x00",
    "http://8.8.8.8:99999/",
    "http://8.8.8.8:port/",
    "http://[::1/",
    "http://[1:2]/",
    "http://" + "a" * 64 + ".example/",
]
NEVER_BY_NAME = [
    "169.254.169.254",
    "169.254.170.2",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::a9fe:a9fe",
    "::ffff:169.254.169.254",
    "::ffff:10.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "fe80::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fd00:c1::a9fe:a9fe",
    "ff02::1",
]
ODD_PORTS = ["http://8.8.8.8:22/", "http://8.8.8.8:6379/", "https://8.8.8.8:8443/", "http://[2606:4700::1111]:25/"]


@pytest.fixture
async def canary() -> AsyncIterator[WebServer]:
    """A server on 127.0.0.1 that nothing may reach."""
    async with web_server(gif) as server:
        yield server
        assert server.seen == []


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every address that the loop was asked to connect to; none of them is connected."""
    asked: list[Any] = []

    async def connect(loop: object, sock: socket.socket, address: object) -> None:
        asked.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr("asyncio.selector_events.BaseSelectorEventLoop.sock_connect", connect)
    return asked


@pytest.mark.parametrize("uri", NOT_PUBLIC)
async def test_addresses_that_are_not_public_are_never_connected(uri: str, tmp_path: Path, connections: list[Any]) -> None:
    await refused(uri, tmp_path, Reason.FORBIDDEN, rules=FetchRules())
    assert connections == []


@pytest.mark.parametrize("uri", MALFORMED)
async def test_malformed_urls_and_credentials_are_forbidden(uri: str, tmp_path: Path, connections: list[Any]) -> None:
    message = await refused(uri, tmp_path, Reason.FORBIDDEN, rules=FetchRules())
    assert "secret" not in message
    assert connections == []


@pytest.mark.parametrize("uri", ODD_PORTS)
async def test_public_hosts_are_reached_on_web_ports_only(uri: str, tmp_path: Path, connections: list[Any]) -> None:
    assert "port" in await refused(uri, tmp_path, Reason.FORBIDDEN, rules=FetchRules())
    assert connections == []


@pytest.mark.parametrize("uri", ["http://8.8.8.8/", "https://1.1.1.1/x", "http://[2606:4700::1111]/"])
async def test_public_addresses_are_connected_unless_switched_off(uri: str, tmp_path: Path, connections: list[Any]) -> None:
    await refused(uri, tmp_path, Reason.FETCH_FAILED, rules=FetchRules())
    assert len(connections) == 1
    await refused(uri, tmp_path, Reason.FORBIDDEN, rules=FetchRules(public_http=False))
    assert len(connections) == 1


async def test_a_name_that_leads_to_a_private_address_is_forbidden(canary: WebServer, tmp_path: Path) -> None:
    uri = canary.url("x", "evil.example")
    await refused(uri, tmp_path, Reason.FORBIDDEN, rules=FetchRules(), resolver=Answers(("127.0.0.1",)))


async def test_every_answer_of_a_name_is_checked(canary: WebServer, tmp_path: Path) -> None:
    """The first address is allowed but closed; the next one is not allowed."""
    rules = FetchRules(networks=("127.0.0.2/32",))
    both = Answers(("127.0.0.2", "127.0.0.1"))
    await refused(canary.url("x", "evil.example"), tmp_path, Reason.FORBIDDEN, rules=rules, resolver=both)


async def test_an_answer_that_changes_after_the_first_hop_is_checked_again(canary: WebServer, tmp_path: Path) -> None:
    async def again(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(f"http://evil.example:{canary.port}/inside")

    async with web_server(again, "127.0.0.2", canary.port) as outside:
        changing = Answers(("127.0.0.2",), ("127.0.0.1",))
        rules = FetchRules(networks=("127.0.0.2/32",), max_redirects=3)
        await refused(outside.url("x", "evil.example"), tmp_path, Reason.FORBIDDEN, rules=rules, resolver=changing)
        assert outside.seen == ["/x"]


async def test_one_hop_asks_the_resolver_once(canary: WebServer, tmp_path: Path) -> None:
    """What is checked is what is connected: a second look-up would be refused here."""
    async with web_server(gif, "127.0.0.2", canary.port) as outside:
        changing = Answers(("127.0.0.2",), ("127.0.0.1",))
        rules = FetchRules(networks=("127.0.0.2/32",))
        assert (await fetch(outside.url("x", "evil.example"), tmp_path, rules, changing)).size == len(GIF)


async def test_a_resolver_that_alternates_gets_nobody_in(canary: WebServer, tmp_path: Path) -> None:
    """Rebinding: allowed when asked first, private when asked again; of both at once the allowed one alone is connected."""
    rules = FetchRules(networks=("127.0.0.2/32",))
    private, allowed = ("127.0.0.1",), ("127.0.0.2",)
    async with web_server(gif, "127.0.0.2", canary.port) as outside:
        uri = outside.url("x", "evil.example")
        alternating = Answers(allowed, private, allowed, private, ("127.0.0.1", "127.0.0.2"))
        for good in (True, False, True, False, True):
            if good:
                assert (await fetch(uri, tmp_path / str(len(outside.seen)), rules, alternating)).size == len(GIF)
            else:
                await refused(uri, tmp_path / "refused", Reason.FORBIDDEN, rules=rules, resolver=alternating)
        assert len(outside.seen) == 3


@pytest.mark.parametrize("where", ["http://127.0.0.1:{port}/", "//127.0.0.1:{port}/", "http://2130706433:{port}/"])
async def test_a_redirect_to_a_private_address_is_forbidden(where: str, canary: WebServer, tmp_path: Path) -> None:
    async def lead(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": where.format(port=canary.port)})

    async with web_server(lead, "127.0.0.2") as outside:
        rules = FetchRules(networks=("127.0.0.2/32",), max_redirects=3)
        await refused(outside.url("x"), tmp_path, Reason.FORBIDDEN, rules=rules)
        assert outside.seen == ["/x"]


@pytest.mark.parametrize(
    "where", ["file:///etc/passwd", "s3://uploads/x", "ftp://8.8.8.8/", "javascript:1", "http://u:p@8.8.8.8/", "http://[::1/"]
)
async def test_a_redirect_to_another_scheme_or_with_credentials_is_forbidden(where: str, tmp_path: Path) -> None:
    async def lead(request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": where})

    async with web_server(lead) as server:
        await refused(server.url("x"), tmp_path, Reason.FORBIDDEN, rules=FetchRules(networks=LOCAL.networks, max_redirects=3))


async def test_a_listed_host_may_be_private_and_on_any_port(tmp_path: Path) -> None:
    async with web_server(gif) as server:
        rules = FetchRules(hosts=("Media.Inside.",), public_http=False)
        for host in ("media.inside", "MEDIA.inside."):
            assert (await fetch(server.url("x", host), tmp_path, rules, Answers(("127.0.0.1",)))).size == len(GIF)


@pytest.mark.parametrize("host", ["other.inside", "evil.media.inside", "media.inside.evil", "127.0.0.1"])
async def test_a_listed_host_lets_no_other_in(host: str, canary: WebServer, tmp_path: Path) -> None:
    rules = FetchRules(hosts=("media.inside",))
    await refused(canary.url("x", host), tmp_path, Reason.FORBIDDEN, rules=rules, resolver=Answers(("127.0.0.1",)))


@pytest.mark.parametrize("address", NEVER_BY_NAME)
async def test_a_listed_host_cannot_lead_to_metadata(address: str, tmp_path: Path, connections: list[Any]) -> None:
    rules = FetchRules(hosts=("media.inside",))
    await refused("http://media.inside/", tmp_path, Reason.FORBIDDEN, rules=rules, resolver=Answers((address,)))
    assert connections == []


async def test_a_network_that_is_no_cidr_is_the_operators_error(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="expected CIDR"):
        await fetch("http://8.8.8.8/", tmp_path, FetchRules(networks=("10.0.0.0/99",)))


async def test_a_name_that_does_not_resolve_may_resolve_later(tmp_path: Path) -> None:
    class Away(Answers):
        async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
            raise OSError(None, "no such name")

    await refused("http://nowhere.invalid/", tmp_path, Reason.FETCH_FAILED, resolver=Away(()))
