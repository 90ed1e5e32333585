"""Where a model can be read from, each from any byte on: a web server, an S3 store, a folder."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlsplit

import aiohttp
import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, PreconditionError, UnauthenticatedError
from yarl import URL

from omniguard.adapters.fetch_s3 import S3Credentials, in_time, open_store
from omniguard.adapters.model_files.outcomes import ModelNotFetched
from omniguard.domain.fetching import S3Source
from omniguard.errors import Misconfigured

__all__ = ["FolderSource", "HttpSource", "ModelSource", "S3ModelSource", "Stream", "model_source"]

CHUNK = 1024 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=30.0, sock_connect=15.0, sock_read=60.0)
_PASSING = frozenset({408, 425, 429})
_DIGITS = 18
"""Of a size that a server tells; Python refuses to read thousands of them."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes from `start` on, of `total` (None: not told). `tag` changes where the bytes do; None where nobody can tell."""

    start: int
    total: int | None
    tag: str | None
    chunks: AsyncIterator[bytes | memoryview]


class ModelSource(Protocol):
    """An archive, or a list of digests with the files that it names beside it."""

    @property
    def shown(self) -> str:
        """Its address without what may be secret."""

    def read(self, beside: str | None, start: int, tag: str | None) -> AbstractAsyncContextManager[Stream]:
        """Open the source, or the file of that relative name beside it.

        From `start` on if it still has the tag, else from its beginning.

        Raises:
            Misconfigured: there is no such file, or we are not let in.
            ModelNotFetched: it is away.

        """


class HttpSource:
    """`https://`, and `http://` without a token: what arrives is compared with its digest in any case.

    Redirects are followed, but from https to https only; a proxy that the environment names is used.
    """

    def __init__(self, url: str, *, token: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        """`token` is sent as a bearer, to this host alone. `tls` is for a private certificate authority."""
        try:
            self._url = URL(url, encoded=url.isascii())
            host, _ = self._url.host, self._url.port  # a port that is none is found when it is read
        except ValueError as error:
            raise Misconfigured(f"found an address that is none ({error}), expected https://host/path") from error
        self._token, self._tls = token, tls
        if not host or "@" in self._url.raw_authority:
            raise Misconfigured("found no host, or a user and password in the address; expected https://host/path")
        if token is not None and not (token.isascii() and token.isprintable()):
            raise Misconfigured("found a token that is no single line of ASCII, expected one: correct its file")
        if token is not None and self._url.scheme != "https":
            raise Misconfigured("found a token for an address without TLS, expected https://: correct the address")
        self.shown = str(self._url.with_query(None).with_fragment(None))

    @asynccontextmanager
    async def read(self, beside: str | None, start: int, tag: str | None) -> AsyncIterator[Stream]:
        """A request; with `start` for the rest alone."""
        url = self._url if beside is None else self._url.with_query(None).join(URL(quote(beside), encoded=True))
        headers = {"Accept-Encoding": "identity"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"  # aiohttp drops it where a redirect leaves this origin
        if start and tag is not None:
            headers |= {"Range": f"bytes={start}-", "If-Range": tag}
        connector = aiohttp.TCPConnector(ssl=self._tls or True)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, trust_env=True, auto_decompress=False) as session,
                session.get(url, headers=headers) as response,
            ):
                yield self._stream(response, start)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ModelNotFetched(f"{url.host}: found {type(error).__name__} while reading, expected all bytes") from error

    def _stream(self, response: aiohttp.ClientResponse, start: int) -> Stream:
        host = response.url.host
        if self._url.scheme == "https" and any(hop.url.scheme != "https" for hop in (*response.history, response)):
            raise Misconfigured(f"{host}: found a redirect to an address without TLS, expected https: correct the address")
        tag = response.headers.get("ETag", "")
        tag = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")  # a weak tag promises too little
        if response.status == 206:
            first, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
            if first.partition("-")[0] != str(start):
                raise ModelNotFetched(f"{host}: found another range than asked for, expected one from byte {start}")
            size = int(total) if total.isdecimal() and len(total) <= _DIGITS else None
            return Stream(start, size, tag or None, response.content.iter_chunked(CHUNK))
        if response.status == 200:
            return Stream(0, response.content_length, tag or None, response.content.iter_chunked(CHUNK))
        said = f"{host} answered {response.status}, expected 200"
        if response.status in _PASSING or response.status >= 500:
            raise ModelNotFetched(said)
        raise Misconfigured(f"{said}: correct the address or the token")


class S3ModelSource:
    """`s3://bucket/key` on any S3-compatible store."""

    def __init__(self, bucket: str, key: str, source: S3Source, credentials: S3Credentials | None) -> None:
        """`source` has endpoint and region; without credentials the store is asked anonymously."""
        self._key, self._store = key, open_store(source, credentials)
        self.shown = f"s3://{bucket}/{key}"

    @asynccontextmanager
    async def read(self, beside: str | None, start: int, tag: str | None) -> AsyncIterator[Stream]:
        """A request; with `start` for the rest alone."""
        key = self._key if beside is None else "/".join([*self._key.split("/")[:-1], beside])
        shown = f"{self.shown.partition(self._key)[0]}{key}"
        try:
            found, first = await self._get(key, start, tag)
            yield Stream(first, found.meta["size"], found.meta["e_tag"], in_time(found.stream(min_chunk_size=CHUNK)))
        except FileNotFoundError as error:
            raise Misconfigured(f"{shown}: found no such object, expected one: correct the address") from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise Misconfigured(f"{shown}: the store refuses us; correct the credentials or their rights") from error
        except (BaseError, TimeoutError, OSError) as error:
            raise ModelNotFetched(f"{shown}: found {type(error).__name__} while reading, expected all bytes") from error

    async def _get(self, key: str, start: int, tag: str | None) -> tuple[Any, int]:
        if start and tag is not None:
            try:
                return await obstore.get_async(self._store, key, options={"range": {"offset": start}, "if_match": tag}), start
            except PreconditionError:
                pass  # another object by now: all of it
        return await obstore.get_async(self._store, key), 0


class FolderSource:
    """A file on this machine, such as one on a mounted volume."""

    def __init__(self, path: Path) -> None:
        """The path of an archive or a list."""
        self._path = path
        self.shown = str(path)

    @asynccontextmanager
    async def read(self, beside: str | None, start: int, tag: str | None) -> AsyncIterator[Stream]:
        """The file's bytes."""
        path = self._path if beside is None else self._path.parent / beside
        try:
            with path.open("rb") as file:
                stat = path.stat()
                now = f"{stat.st_mtime_ns}-{stat.st_size}-{stat.st_ino}"
                first = start if now == tag else 0
                file.seek(first)
                yield Stream(first, stat.st_size, now, _chunks(file))
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise Misconfigured(f"{path}: cannot be read ({error.strerror}); expected a file") from error


async def _chunks(file: Any) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(file.read, CHUNK):
        yield chunk


def model_source(
    address: str,
    *,
    token: str | None = None,
    tls: ssl.SSLContext | None = None,
    endpoint: str | None = None,
    region: str | None = None,
    credentials: S3Credentials | None = None,
) -> ModelSource:
    """The source at an address: `https://`, `http://`, `s3://`, `file://`, or a path.

    Raises:
        Misconfigured: it is of another scheme, or incomplete.

    """
    scheme, colon, rest = address.partition("://")
    if not colon:
        return FolderSource(Path(address))
    if scheme in ("http", "https"):
        return HttpSource(address, token=token, tls=tls)
    if scheme == "s3":
        bucket, _, key = rest.partition("/")
        if not bucket or not key:
            raise Misconfigured(f"{address}: found no bucket or no key, expected s3://bucket/folder/name")
        return S3ModelSource(bucket, key, S3Source(bucket, "", endpoint, region), credentials)
    if scheme == "file":
        return FolderSource(Path(unquote(urlsplit(address).path)))
    raise Misconfigured(f"found an address of the scheme {scheme[:16]}, expected https, s3, file or a path")
