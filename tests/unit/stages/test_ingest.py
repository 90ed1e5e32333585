"""Parts are fetched side by side, and no tenant's slow servers keep another's waiting."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from omniguard.adapters.clock import ManualClock
from omniguard.adapters.media_store import PartStore
from omniguard.adapters.sink import Sink
from omniguard.domain.content import FetchedPart, Identity, Modality, Part, Upload
from omniguard.domain.deadline import NEVER
from omniguard.domain.fetching import FetchRules
from omniguard.stages.findings import Findings
from omniguard.stages.ingest import Ingest

GIF = b"GIF89a" + bytes(100)
SLOTS = 4


class Servers:
    """Those of the tenant `slow` send nothing until they are released."""

    def __init__(self) -> None:
        self.asked = 0
        self.reached, self.released = asyncio.Event(), asyncio.Event()

    async def __call__(self, uri: str, rules: FetchRules, sink: Sink) -> None:
        del rules
        if "slow" in uri:
            self.asked += 1
            self.reached.set()
            await self.released.wait()
        sink.write(GIF)


@pytest.fixture
async def servers() -> Servers:
    return Servers()


@pytest.fixture
def ingest(servers: Servers) -> Ingest:
    return Ingest(PartStore({"http": servers}), ManualClock(), concurrency=SLOTS)


async def fetched(ingest: Ingest, tenant: str, folder: Path, *parts: Part) -> list[FetchedPart]:
    upload = Upload(Identity(tenant, "c", 1), parts)
    return await ingest.ingest(upload, FetchRules(), folder, NEVER, Findings())


def images(tenant: str, count: int) -> list[Part]:
    return [Part(f"p{n}", Modality.IMAGE, uri=f"http://{tenant}/{n}") for n in range(count)]


async def test_slow_servers_of_one_tenant_leave_room_for_the_parts_of_others(
    ingest: Ingest, servers: Servers, tmp_path: Path
) -> None:
    held = asyncio.create_task(fetched(ingest, "slow", tmp_path, *images("slow", 3 * SLOTS)))
    await servers.reached.wait()
    async with asyncio.timeout(5):
        assert len(await fetched(ingest, "quick", tmp_path, *images("quick", 3))) == 3
    assert servers.asked == SLOTS // 2
    servers.released.set()
    assert len(await held) == 3 * SLOTS


async def test_what_came_with_the_event_waits_for_no_slow_server(ingest: Ingest, servers: Servers, tmp_path: Path) -> None:
    held = asyncio.create_task(fetched(ingest, "slow", tmp_path, *images("slow", 3 * SLOTS)))
    await servers.reached.wait()
    inline = (Part("p0", Modality.TEXT, text="a"), Part("p1", Modality.IMAGE, data=GIF))
    async with asyncio.timeout(5):
        assert [part.id for part in await fetched(ingest, "slow", tmp_path, *inline)] == ["p0", "p1"]
    servers.released.set()
    await held
