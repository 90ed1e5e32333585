"""A store that drips or hangs is ended where no deadline binds: on the late lane, which would wait for ever."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from faults.bad_store import BadStore
from omniguard.adapters import fetch_http, fetch_s3
from omniguard.adapters.media_store import PartStore, fetchers
from omniguard.domain.content import Modality, Part
from omniguard.domain.deadline import NEVER
from omniguard.domain.fetching import FetchRules, S3Source
from omniguard.domain.reason import Reason
from omniguard.errors import Retryable

CASES = [("http", "drip-head"), ("http", "hang"), ("s3", "drip-head"), ("s3", "hang"), ("s3", "drip")]


@pytest.mark.parametrize(("scheme", "kind"), CASES)
async def test_what_takes_too_long_may_pass(scheme: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_http, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(fetch_s3, "HEAD_SECONDS", 0.3 if kind != "drip" else 30.0)
    monkeypatch.setattr(fetch_s3, "CHUNK_SECONDS", 0.3)
    into = tmp_path / "into"
    async with BadStore(tmp_path) as store:
        rules = FetchRules(networks=("127.0.0.0/8",), s3=(S3Source(kind, "", store.endpoint(kind), None, None),))
        part = Part("p", Modality.IMAGE, uri=store.uri(scheme, kind, "one"))
        async with asyncio.timeout(60):
            with pytest.raises(Retryable) as caught:
                await PartStore(fetchers(lambda name: None)).fetch(part, rules, into, NEVER)  # type: ignore[arg-type, return-value]
    assert caught.value.reason is Reason.FETCH_FAILED
    assert os.listdir(into) == []
