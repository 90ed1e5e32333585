"""Fetching one picture over HTTP, and resolvers that answer as told."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from omniguard.adapters.fetch_http import HttpFetcher
from omniguard.adapters.media_store import PartStore
from omniguard.domain.content import FetchedPart, Modality, Part
from omniguard.domain.deadline import NEVER, Deadline
from omniguard.domain.fetching import FetchRules
from omniguard.domain.reason import Reason
from omniguard.errors import BadContent, Retryable

GIF = b"GIF89a" + bytes(100)
LOCAL = FetchRules(networks=("127.0.0.0/8",))


class Answers(AbstractResolver):
    """A resolver whose answer to each question is the next of a list; the last one stays."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        self.left = list(answers)

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        answer = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST)
            for address in answer
        ]

    async def close(self) -> None: ...


async def fetch(
    uri: str,
    into: Path,
    rules: FetchRules = LOCAL,
    resolver: AbstractResolver | None = None,
    deadline: Deadline = NEVER,
) -> FetchedPart:
    http = HttpFetcher(resolver=resolver)
    return await PartStore({"http": http, "https": http}).fetch(Part("p", Modality.IMAGE, uri=uri), rules, into, deadline)


async def refused(uri: str, into: Path, reason: Reason, **more: Any) -> str:
    with pytest.raises((BadContent, Retryable)) as caught:
        await fetch(uri, into, **more)
    assert caught.value.reason is reason, str(caught.value)
    assert os.listdir(into) == []
    return str(caught.value)


async def gif(request: web.Request) -> web.StreamResponse:
    return web.Response(body=GIF)
