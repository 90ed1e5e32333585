"""Reads a part's bytes, inline or by reference, hashes them and checks that they are what the event says.

A new scheme is a `Fetcher` in a file of its own and a line in `fetchers`.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from omniguard.adapters.breakers import Breakers
from omniguard.adapters.fetch_file import fetch_file
from omniguard.adapters.fetch_http import HttpFetcher
from omniguard.adapters.fetch_s3 import S3Credentials, S3Fetcher
from omniguard.adapters.media_types import check_media, check_text
from omniguard.adapters.sink import Sink, check_size
from omniguard.domain.content import FetchedPart, Modality, Part
from omniguard.domain.deadline import Deadline
from omniguard.domain.fetching import FetchRules
from omniguard.domain.reason import Reason
from omniguard.errors import BadContent, Retryable

MAX_TEXT_BYTES = 4 * 1024 * 1024


class Fetcher(Protocol):
    """Reads one scheme."""

    async def __call__(self, uri: str, rules: FetchRules, sink: Sink) -> None:
        """Write the bytes behind `uri` into `sink`, as far as the rules allow.

        Raises:
            BadContent: forbidden, not_found, too_large, unsupported.
            Retryable: fetch_failed.

        """


def fetchers(credentials: Callable[[str], S3Credentials]) -> dict[str, Fetcher]:
    """The schemes that the product reads. `credentials` resolves the names that tenants' S3 sources use."""
    breakers = Breakers()
    http = HttpFetcher(breakers=breakers)
    return {"http": http, "https": http, "s3": S3Fetcher(credentials, breakers), "file": fetch_file}


class PartStore:
    """`ports.MediaStore` over one fetcher a scheme.

    Media lie in a file of a fresh name below `into`; text is returned in the part, at most `max_text_bytes` of it.
    """

    def __init__(
        self,
        schemes: Mapping[str, Fetcher],
        *,
        max_text_bytes: int = MAX_TEXT_BYTES,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`schemes` maps a scheme in lower case to its fetcher; see `fetchers`."""
        self._schemes = schemes
        self._max_text_bytes = max_text_bytes
        self._monotonic = monotonic

    async def fetch(self, part: Part, rules: FetchRules, into: Path, deadline: Deadline) -> FetchedPart:
        """As `ports.MediaStore.fetch`. Every error names the part."""
        try:
            if part.modality is Modality.TEXT:
                return await self._text(part, rules, into, deadline)
            return await self._media(part, rules, into, deadline)
        except (BadContent, Retryable) as error:
            error.part = part.id
            raise

    async def _media(self, part: Part, rules: FetchRules, into: Path, deadline: Deadline) -> FetchedPart:
        with Sink(into, rules.max_bytes, self._monotonic) as sink:
            await self._fill(sink, part, rules, deadline)
            _check_hash(part, sink.sha256)
            media_type = check_media(part, sink.head)
        return FetchedPart(part, sink.sha256, sink.size, media_type, sink.path)

    async def _text(self, part: Part, rules: FetchRules, into: Path, deadline: Deadline) -> FetchedPart:
        media_type = check_text(part)
        limit = min(rules.max_bytes, self._max_text_bytes)
        if part.text is not None:
            raw = part.text.encode("utf-8", "surrogatepass")
            check_size(len(raw), limit)
        else:
            with Sink(into, limit, self._monotonic) as sink:
                await self._fill(sink, part, rules, deadline)
                raw = sink.path.read_bytes()
            sink.path.unlink()
        sha256 = hashlib.sha256(raw).hexdigest()
        _check_hash(part, sha256)
        return FetchedPart(part if part.text is not None else replace(part, text=_decoded(raw)), sha256, len(raw), media_type)

    async def _fill(self, sink: Sink, part: Part, rules: FetchRules, deadline: Deadline) -> None:
        if part.data is not None:
            sink.write(part.data)
        elif part.uri is not None:
            await self._download(part.uri, rules, sink, deadline)
        else:
            raise BadContent(Reason.INVALID_EVENT, f"the {part.modality} part has no content; expected data or uri")

    async def _download(self, uri: str, rules: FetchRules, sink: Sink, deadline: Deadline) -> None:
        scheme = uri.partition("://")[0].lower()
        fetcher = self._schemes.get(scheme)
        if fetcher is None:
            raise BadContent(
                Reason.FORBIDDEN, f"the uri's scheme is not read here; expected one of {', '.join(sorted(self._schemes))}"
            )
        left = deadline.left(self._monotonic())
        try:
            async with asyncio.timeout(None if math.isinf(left) else left):
                # One turn of the loop, so that a deadline that has passed ends it before anything is asked.
                await asyncio.sleep(0)
                await fetcher(uri, rules, sink)
        except TimeoutError as error:
            raise Retryable(Reason.DEADLINE, f"the deadline passed while a part was fetched by {scheme}") from error


def _check_hash(part: Part, sha256: str) -> None:
    if part.sha256 is not None and part.sha256.lower() != sha256:
        raise BadContent(Reason.HASH_MISMATCH, f"the bytes have the sha256 {sha256}; expected the one in the event")


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadContent(Reason.TYPE_MISMATCH, "the text is not UTF-8; expected UTF-8") from error
