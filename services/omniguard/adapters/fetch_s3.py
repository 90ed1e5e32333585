"""`s3://`: objects of the buckets and prefixes that the operator listed, on any S3-compatible store."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import obstore
from obstore.exceptions import BaseError, InvalidPathError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from omniguard.adapters.breakers import Away, Breakers
from omniguard.adapters.lru import Lru
from omniguard.adapters.sink import GRACE_SECONDS, MIN_BYTES_PER_SECOND, Sink
from omniguard.domain.fetching import FetchRules, S3Source
from omniguard.domain.reason import Reason
from omniguard.errors import BadContent, Retryable

CHUNK = 256 * 1024
HEAD_SECONDS = 30.0
"""To the first byte, retries included: no deadline binds the late lane."""
CHUNK_SECONDS = GRACE_SECONDS + CHUNK / MIN_BYTES_PER_SECOND
"""For one chunk: the sink sees a sender of single bytes only once a chunk is full."""
_ENCODED = re.compile(r"%(2f|5c|2e|00|25|c0|c1)", re.IGNORECASE)  # slash, backslash, dot, NUL, percent sign, overlong UTF-8
_REFUSED = re.compile(r"status code: 4\d\d")
_MAX_KEY_BYTES = 1024
_ODD = re.compile(r"[\x00-\x1f\x7f\\?#]")


@dataclass(frozen=True, slots=True)
class S3Credentials:
    """What a name in the rules stands for."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


class S3Fetcher:
    """Reads objects. A source without credentials is read anonymously, never with the process's own identity."""

    def __init__(self, credentials: Callable[[str], S3Credentials], breakers: Breakers | None = None) -> None:
        """`credentials` resolves the names that rules use, at every fetch, so that rotated ones take effect."""
        self._breakers = breakers or Breakers()
        self._credentials = credentials
        self._stores: Lru[S3Store] = Lru(64, 3600.0)  # a store keeps its connections

    async def __call__(self, uri: str, rules: FetchRules, sink: Sink) -> None:
        """Stream the object into `sink`.

        Raises:
            BadContent: forbidden, not_found, too_large.
            Retryable: fetch_failed.

        """
        source, key = _find(uri, rules)
        with self._breakers.asking(source.endpoint or f"s3 of {source.region or 'us-east-1'}"):
            await self._read(source, key, sink)

    async def _read(self, source: S3Source, key: str, sink: Sink) -> None:
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                found = await obstore.get_async(self._store(source), key)
            sink.expect(found.meta["size"])
            async for chunk in in_time(found.stream(min_chunk_size=CHUNK)):
                sink.write(chunk)
        except FileNotFoundError as error:
            raise BadContent(Reason.NOT_FOUND, f"bucket {source.bucket} holds no such object") from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise BadContent(
                Reason.FORBIDDEN, f"bucket {source.bucket} refuses us; check the credentials named {source.credentials}"
            ) from error
        except (InvalidPathError, ValueError) as error:
            raise BadContent(Reason.FORBIDDEN, "the s3 uri's key is not valid; expected s3://bucket/folder/name") from error
        except (BaseError, OSError) as error:
            # An answer about the request itself can be called forth by a key, so it says nothing of the store.
            kind = Retryable if _REFUSED.search(str(error)) else Away
            raise kind(Reason.FETCH_FAILED, f"bucket {source.bucket} cannot be read: {type(error).__name__}") from error

    def _store(self, source: S3Source) -> S3Store:
        keys = self._credentials(source.credentials) if source.credentials else None
        name = repr((source, keys and (keys.access_key_id, keys.secret_access_key, keys.session_token)))
        store = self._stores.get(name)
        if store is None:
            store = open_store(source, keys)
            self._stores.put(name, store)
        return store


async def in_time(chunks: obstore.BytesStream) -> AsyncIterator[memoryview]:
    """The chunks, each within `CHUNK_SECONDS`; a TimeoutError else."""
    while True:
        try:
            async with asyncio.timeout(CHUNK_SECONDS):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        yield memoryview(chunk)


def open_store(source: S3Source, keys: S3Credentials | None) -> S3Store:
    """A client of one bucket. Nothing is taken from the process's own environment.

    Args:
        source: bucket, endpoint and region.
        keys: None asks anonymously.

    """
    # Every choice is spelt out: what is left open, obstore takes from the process's AWS_* variables, field by field.
    options: dict[str, Any] = {"endpoint": source.endpoint} if source.endpoint else {}
    if keys is not None:
        found = {"access_key_id": keys.access_key_id, "secret_access_key": keys.secret_access_key, "token": keys.session_token}
        options["credential_provider"] = lambda: {**found, "expires_at": None}
    return S3Store(
        source.bucket,
        region=source.region or "us-east-1",
        skip_signature=keys is None,
        client_options={
            "allow_http": (source.endpoint or "").startswith("http://"),
            # Naming a proxy is what keeps the client from those of the environment; every host is excluded from this one.
            "proxy_url": "http://proxy.invalid",
            "proxy_excludes": "*,0.0.0.0/0,::/0",
            "connect_timeout": timedelta(seconds=5),
            "read_timeout": timedelta(seconds=10),
            # Of the whole object; the minimum rate and the deadline end slow ones earlier.
            "timeout": timedelta(hours=6),
        },
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=10)},
        **options,
    )


def _find(uri: str, rules: FetchRules) -> tuple[S3Source, str]:
    """The first listed source that holds the object, and its key. The key is taken as it stands, not percent-decoded."""
    bucket, _, key = uri[len("s3://") :].partition("/")
    names = key.split("/")
    if _ODD.search(key) or _ENCODED.search(key) or {"", ".", ".."} & set(names):
        raise BadContent(
            Reason.FORBIDDEN,
            "the s3 uri's key has an empty, dotted or encoded name, a query or a control character; expected none",
        )
    if len(key.encode()) > _MAX_KEY_BYTES:
        raise BadContent(Reason.FORBIDDEN, f"the s3 uri's key is longer than {_MAX_KEY_BYTES} bytes, the most that a store takes")
    for source in rules.s3:
        folder = source.prefix.strip("/")
        if source.bucket == bucket and (not folder or key.startswith(f"{folder}/")):
            return source, key
    raise BadContent(Reason.FORBIDDEN, "the s3 uri is not below a listed bucket and prefix; list it in the tenant's fetch rules")
