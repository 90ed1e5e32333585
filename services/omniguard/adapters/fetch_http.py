"""`http://` and `https://`: the address is checked on the socket that is about to connect, so neither an odd notation, a changing
DNS answer nor a redirect gets round it."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import ssl
from collections.abc import Callable
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from omniguard.adapters.addresses import is_listed, may_connect
from omniguard.adapters.breakers import Away, Breakers
from omniguard.adapters.sink import Sink
from omniguard.domain.fetching import FetchRules
from omniguard.domain.reason import Reason
from omniguard.errors import BadContent, Retryable

CHUNK = 256 * 1024
HEAD_SECONDS = 30.0
"""To the end of the headers: each byte of them starts `sock_read` anew."""
TIMEOUT = aiohttp.ClientTimeout(total=None, connect=10.0, sock_connect=5.0, sock_read=10.0)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FORBIDDEN = frozenset({401, 402, 403, 407, 451})
_PASSING = frozenset({408, 425, 429})
_ODD = re.compile(r"[\x00-\x20\x7f\\]")


class AddressRefused(OSError):
    """The rules do not allow to connect to an address."""


class HttpFetcher:
    """Reads a URL under a tenant's rules.

    Every hop has a session and a connection of its own: a connection that one tenant's rules allowed never serves another.
    """

    def __init__(
        self,
        *,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
        breakers: Breakers | None = None,
    ) -> None:
        """`tls` is for a private certificate authority."""
        self._breakers = breakers or Breakers()
        self._resolver = resolver
        self._tls = tls

    async def __call__(self, uri: str, rules: FetchRules, sink: Sink) -> None:
        """Follow at most `rules.max_redirects` redirects and write the body into `sink`.

        Raises:
            BadContent: forbidden, not_found, too_large, unsupported (a content encoding).
            Retryable: fetch_failed.

        """
        url = _parse(uri)
        for _ in range(rules.max_redirects + 1):
            target = await self._hop(url, rules, sink)
            if target is None:
                return
            url = _parse(target, url)
        raise BadContent(
            Reason.FORBIDDEN,
            f"{url.host} is one redirect too many; the tenant's max_redirects is {rules.max_redirects}: raise it",
        )

    async def _hop(self, url: URL, rules: FetchRules, sink: Sink) -> str | None:
        """Ask once; return where to go next, or None when the body is in the sink."""
        # A way of its own to be wrong, such as https on port 80, must not count against the host's right one.
        with self._breakers.asking(f"{url.scheme}://{url.host}:{url.port}"):
            return await self._ask(url, rules, sink)

    async def _ask(self, url: URL, rules: FetchRules, sink: Sink) -> str | None:
        # Whoever uploads may name any page of a public host, one that fails among them; the operator's own hosts are no such.
        ours = is_listed(str(url.host), rules)
        try:
            async with self._session(url, rules) as session:
                async with asyncio.timeout(HEAD_SECONDS):
                    response = await session.get(url, allow_redirects=False, headers={"Accept-Encoding": "identity"})
                if response.status in _REDIRECTS and "Location" in response.headers:
                    return response.headers["Location"]
                _check_status(str(url.host), response.status, ours=ours)
                await _stream(str(url.host), response, sink)
                return None
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, AddressRefused):
                raise BadContent(Reason.FORBIDDEN, f"{url.host} {error.os_error.strerror}") from None
            raise Away(Reason.FETCH_FAILED, f"{url.host} cannot be reached: {type(error).__name__}") from error
        except aiohttp.ConnectionTimeoutError as error:
            raise Away(Reason.FETCH_FAILED, f"{url.host} does not take a connection: {type(error).__name__}") from error
        except ValueError:  # InvalidURL, of hosts that read as numbers in odd notations; or a name that DNS cannot be asked for
            raise BadContent(Reason.FORBIDDEN, f"{url.host} is no valid host; expected a name or a plain address") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            kind = Away if ours else Retryable
            raise kind(Reason.FETCH_FAILED, f"{url.host} broke off: {type(error).__name__}") from error

    def _session(self, url: URL, rules: FetchRules) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=self._resolver,
            force_close=True,
            ssl=self._tls or True,
            socket_factory=_guard(rules, listed=is_listed(str(url.host), rules)),
        )
        # No proxy, netrc or cookies; a compressed body would hide its size.
        return aiohttp.ClientSession(
            connector=connector,
            trust_env=False,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=TIMEOUT,
            read_bufsize=CHUNK,
        )


def _guard(rules: FetchRules, *, listed: bool) -> Callable[[tuple[Any, ...]], socket.socket]:
    """Makes sockets only for addresses that the rules allow."""

    def make(info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, (address, port, *_) = info
        if not may_connect(address, port, rules, listed=listed):
            raise AddressRefused(
                errno.EACCES, "is at an address or port that is not public; list its host or network in the tenant's fetch rules"
            )
        return socket.socket(family, kind, protocol)

    return make


def _parse(text: str, base: URL | None = None) -> URL:
    """Check what can be seen without a look-up. ASCII is sent as it stands, since a signature may cover its spelling."""
    try:
        url = URL(text, encoded=text.isascii())
        url = base.join(url) if base else url
        host, _ = url.host, url.port  # a port that is no number shows here
    except ValueError:
        host = None
    if not host or _ODD.search(text):
        raise BadContent(Reason.FORBIDDEN, "the uri is no valid http(s) URL; expected https://host/path")
    if url.scheme not in ("http", "https"):
        raise BadContent(Reason.FORBIDDEN, f"a redirect leads to the scheme {url.scheme[:16]}; expected http or https")
    if "@" in url.raw_authority:
        raise BadContent(Reason.FORBIDDEN, f"the URL for {host} holds a user or password; expected none: use a signed URL")
    return url


def _check_status(host: str, status: int, *, ours: bool) -> None:
    if status == 200:
        return
    message = f"{host} answered {status}; expected 200"
    if status in _PASSING or status >= 500:
        kind = Away if ours and status >= 500 else Retryable
        raise kind(Reason.FETCH_FAILED, message)
    raise BadContent(Reason.FORBIDDEN if status in _FORBIDDEN else Reason.NOT_FOUND, message)


async def _stream(host: str, response: aiohttp.ClientResponse, sink: Sink) -> None:
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise BadContent(Reason.UNSUPPORTED, f"{host} sent a content encoding; expected identity: store the media uncompressed")
    sink.expect(response.content_length or 0)
    async for chunk in response.content.iter_chunked(CHUNK):
        sink.write(chunk)
