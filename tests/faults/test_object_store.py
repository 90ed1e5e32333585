"""An object store that misbehaves in every way: each upload gets its reason in time, and its verdict once the store heals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
import yaml

from faults import table
from faults.bad_store import KINDS, BadStore
from faults.harness import Installation
from faults.nursery import Nursery
from faults.table import Fault
from faults.worker import eventually
from omniguard.contracts.verdict import VerdictData
from omniguard.domain.lane import Lane
from omniguard.stages.moderate import GRACE_SECONDS

pytestmark = pytest.mark.stack

LIVE_SECONDS = 8
FINAL = {
    "http": {"no-such": "not_found", "forbidden": "forbidden", "endless": "too_large", "loop": "forbidden"},
    "s3": {"no-such": "not_found", "forbidden": "forbidden", "cut": "damaged"},
}
"""Reasons that asking again does not change."""
SLOW = {"drip", "drip-head", "hang"}
"""These are ended by the deadline; all others say at once that it is the store."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[BadStore]:
    async with BadStore(tmp_path) as made:
        yield made


@pytest.fixture
async def installed(
    nursery: Nursery, kafka_url: str, topic_prefix: str, tmp_path: Path, seed: int, store: BadStore
) -> AsyncIterator[Installation]:
    tenants = yaml.safe_dump({"tenants": {"acme": {"policy": "default", "policy_epoch": 1, "fetch": store.rules()}}})
    async with Installation(nursery, kafka_url, topic_prefix, tmp_path / "i", seed=seed, tenants=tenants) as made:
        await made.create(partitions=2)
        yield made


async def test_each_way_has_its_reason_and_the_late_lane_gets_it_right(
    installed: Installation, store: BadStore, tmp_path: Path
) -> None:
    settings = {"worker__live_seconds": str(LIVE_SECONDS), "worker__late_max_age": "10", "worker__window_events": "64"}
    worker = await installed.start(**settings)
    uploads = {(scheme, kind): f"{kind}-{scheme}" for scheme in ("http", "s3") for kind in KINDS}
    for (scheme, kind), name in uploads.items():
        await _upload(installed, name, store.uri(scheme, kind, name))
    await installed.all_ended(len(uploads))
    first = {(scheme, kind): installed.observer.seen.verdicts_of(name)[0] for (scheme, kind), name in uploads.items()}
    assert {key: said.reason for key, said in first.items()} == {key: _expected(*key, first[key]) for key in first}
    assert max(said.timings_ms["total"] for said in first.values()) < 2 * 1000 * (LIVE_SECONDS + GRACE_SECONDS)
    assert _files(tmp_path / "i" / "media") == []
    passing = {key for key in first if key[1] != "well" and key[1] not in FINAL[key[0]]}
    assert len(installed.observer.seen.lanes[Lane.LATE]) == len(passing)

    store.healed = True
    late = await installed.start(Lane.LATE, **settings)
    await installed.observer.until_committed(lanes=(Lane.LIVE, Lane.LATE))
    await installed.observer.read()
    ended = {key: installed.observer.seen.verdicts_of(uploads[key])[-1] for key in passing}
    assert {key for key, said in ended.items() if said.status != "final"} == {("http", "tls"), ("s3", "tls")}
    assert _files(tmp_path / "i" / "media") == []
    assert worker.alive
    assert late.alive
    report = await installed.check()
    assert report.events == len(uploads) + len(passing)


def _expected(scheme: str, kind: str, said: VerdictData) -> str | None:
    if kind == "well":
        return None
    if kind in SLOW:
        return said.reason if said.reason in ("deadline", "fetch_failed") else "deadline"
    return FINAL[scheme].get(kind, "fetch_failed")


@pytest.mark.long
async def test_a_store_away_for_a_minute_under_a_flow(installed: Installation, store: BadStore, tmp_path: Path) -> None:
    """The late lane works all the time: nothing that hangs or drips there holds it up once the store is whole."""
    settings = {"worker__live_seconds": str(LIVE_SECONDS), "worker__window_events": "64"}
    workers = [await installed.start(lane, **settings) for lane in (Lane.LIVE, Lane.LATE)]
    kinds = [kind for kind in KINDS if kind not in (*FINAL["http"], *FINAL["s3"], "tls")]
    began, sent = time.monotonic(), 0
    while time.monotonic() < began + 60:
        for scheme in ("http", "s3"):
            kind = kinds[sent // 2 % len(kinds)]
            await _upload(installed, f"u{sent}", store.uri(scheme, kind, f"u{sent}"))
            sent += 1
        await asyncio.sleep(0.25)
    healed = time.monotonic()
    store.healed = True
    await _upload(installed, "after", store.uri("http", "broken", "after"))
    await installed.observer.until(lambda seen: _final(seen.verdicts_of("after")), 150, "a final after the store healed")
    first = time.monotonic() - healed
    await installed.observer.until_committed(150, lanes=(Lane.LIVE, Lane.LATE))
    rest = time.monotonic() - healed
    await installed.observer.read()
    assert [name for name in _names(sent) if not _final(installed.observer.seen.verdicts_of(name))] == []
    await eventually(lambda: _files(tmp_path / "i" / "media") == [], 10, "the media folder is empty")
    assert all(worker.alive for worker in workers)
    report = await installed.check()
    done = "for 60 s: 500, 503, slow drip of body and headers, reset, truncated, hung; both schemes; from the healing on"
    table.note(Fault("object store", "misbehaves", done, report.events, 0, report.duplicates, first, rest))


def _names(count: int) -> Iterable[str]:
    return (f"u{number}" for number in range(count))


def _final(said: list[VerdictData]) -> bool:
    return any(each.status == "final" for each in said)


async def _upload(installation: Installation, name: str, uri: str) -> None:
    await installation.upload(name, "", parts=[{"id": "p1", "modality": "image", "uri": uri}])


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]
