"""An installation of one test: topics of its own, workers as real processes, and faults by real means."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

from faults.invariants import Report, check_committed, check_invariants
from faults.nursery import Nursery
from faults.observer import Notes, Observer, Seen
from faults.worker import Worker, eventually
from marker import keep, planted
from omniguard.adapters.topics_admin import TopicsAdmin
from omniguard.contracts.topics import Topics
from omniguard.domain.lane import Lane
from origins import free_ports

SESSION_SECONDS = 2
DRAIN_SECONDS = 3
PRODUCER_MS = 10_000
"""How long the platform's producer waits for a silent broker."""
UPLOAD_SECONDS = 240.0
"""How long an upload may take, outages included; then the test has failed."""
_CRC_AT = 17
"""Where a batch keeps the checksum of what follows it."""
TENANTS = """
tenants:
  acme: {policy: default, policy_epoch: 1}
  small: {policy: default, policy_epoch: 1, quota: 1.0}
"""


class Installation:
    """Topics, workers and a platform that uploads. Use as an async context manager."""

    def __init__(
        self,
        nursery: Nursery,
        bootstrap: str,
        prefix: str,
        folder: Path,
        *,
        seed: int,
        redis: str | None = None,
        tenants: str = TENANTS,
        notes: Notes | None = None,
    ) -> None:
        self._nursery = nursery
        self.bootstrap, self.topics, self.seed = bootstrap, Topics(prefix), seed
        self.random = random.Random(seed)
        self.control = folder / "control"
        self._folder, self._redis, self._tenants = folder, redis, tenants
        self._notes = notes
        self._workers: list[Worker] = []

    async def __aenter__(self) -> Installation:
        self.control.mkdir(parents=True)
        (self._folder / "tenants.yaml").write_text(self._tenants)
        return self

    async def create(self, partitions: int) -> None:
        """Create the topics and connect to them."""
        declared = [replace(topic, partitions=partitions) for topic in self.topics.all]
        async with TopicsAdmin({"bootstrap_servers": self.bootstrap}) as admin:
            await admin.apply(declared)
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            acks="all",
            enable_idempotence=True,
            compression_type="gzip",
            max_request_size=1 << 23,
            request_timeout_ms=PRODUCER_MS,
        )
        await self._producer.start()
        self.observer = await Observer(self.bootstrap, self.topics, self._notes).__aenter__()

    async def __aexit__(self, *_: object) -> None:
        for worker in self._workers:
            if worker.alive:
                if worker.consuming:
                    keep(self._folder, "metrics", await worker.page("metrics"))
                worker.signal(signal.SIGKILL)
                await worker.gone()
        if hasattr(self, "observer"):
            keep(self._folder, "headers", repr(self.observer.seen.dead_letters).encode())
            await self.observer.__aexit__()
            await self._producer.stop()

    async def start(self, lane: Lane = Lane.LIVE, *, wait: bool = True, **settings: str) -> Worker:
        """Start a worker; `settings` are OMNIGUARD_ variables without the prefix, in lower case."""
        (port,) = free_ports(1)
        number = len(self._workers)
        log = self._folder / f"worker-{number}.log"
        given = {f"OMNIGUARD_{name.upper()}": value for name, value in {**self._defaults(lane, port), **settings}.items()}
        env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("OMNIGUARD_")},
            **given,
            "FAULTS_CONTROL": str(self.control),
            **({"FAULTS_GUARD": "triton"} if "triton__addresses" in settings else {}),
        }
        worker = Worker(self._nursery.spawn(env, log), port, log, self.control)
        self._workers.append(worker)
        if wait:
            await self.consumes(worker)
        return worker

    async def consumes(self, worker: Worker, seconds: float = 60.0) -> None:
        """Wait until a worker takes part in its group."""
        await eventually(lambda: worker.consuming or not worker.alive, seconds, "the worker's start")
        assert worker.alive, f"the worker ended with {worker.code}:\n{worker.tail()}"

    def _defaults(self, lane: Lane, port: int) -> dict[str, str]:
        return {
            "kafka__bootstrap": self.bootstrap,
            "kafka__topic_prefix": self.topics.prefix,
            "kafka__session_timeout": str(SESSION_SECONDS),
            "worker__lane": lane.value,
            "worker__drain_timeout": str(DRAIN_SECONDS),
            "worker__live_seconds": "60",
            "worker__health_port": str(port),
            "worker__media_folder": str(self._folder / "media"),
            "worker__state_folder": str(self._folder / "state"),
            "worker__decode_processes": "1",
            "policy__tenants": str(self._folder / "tenants.yaml"),
            "telemetry__json_logs": "false",
            **({"redis__url": self._redis} if self._redis else {}),
        }

    async def upload(
        self, content_id: str, text: str, *, lane: Lane = Lane.LIVE, partition: int | None = None, **data: Any
    ) -> int:
        """Produce a content event of one text, marked as a user's; return its partition. `data` overrides fields of its data."""
        tenant = data.pop("tenant", "acme")
        body = {"content_version": 1, "parts": [{"id": "p0", "modality": "text", "text": planted(text)}], **data}
        return await self.produce("omniguard.content-event.v1", tenant, content_id, body, lane=lane, partition=partition)

    async def delete(self, content_id: str, *, version: int = 1, partition: int | None = None) -> None:
        """Produce a deletion."""
        await self.produce("omniguard.content-deleted.v1", "acme", content_id, {"content_version": version}, partition=partition)

    async def produce(
        self, kind: str, tenant: str, content_id: str, data: Mapping[str, Any], *, lane: Lane = Lane.LIVE, partition: int | None
    ) -> int:
        """Produce a CloudEvent; return its partition."""
        body = {"tenant": tenant, "content_id": content_id, **data}
        event = {"specversion": "1.0", "type": kind, "source": "/uploads", "id": content_id, "data": body}
        return await self.raw(
            f"{tenant}|{content_id}".encode(), orjson.dumps(event, default=_iso), lane=lane, partition=partition
        )

    async def raw(
        self,
        key: bytes | None,
        value: bytes | None,
        *,
        lane: Lane = Lane.LIVE,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes | None]] = (),
    ) -> int:
        """Produce any record; return its partition."""
        topic = self.topics.content(lane)
        async with asyncio.timeout(UPLOAD_SECONDS):
            written = await self._producer.send_and_wait(topic, value, key, partition=partition, headers=list(headers))
        return int(written.partition)

    async def misnamed(self, *events: tuple[bytes, bytes]) -> None:
        """Produce one batch of keys and values, each record with a header whose name is not UTF-8; no client would write it."""
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap) as producer:
            batch = producer.create_batch()
            for key, value in events:
                batch.append(key=key, value=value, timestamp=None, headers=[("misnamed", b"odd")])
            built = bytearray(batch._build()).replace(b"misnamed", b"mis\xff\xfeed!")
            struct.pack_into(">I", built, _CRC_AT, calc_crc32c(built[_CRC_AT + 4 :]))
            batch._buffer = bytes(built)
            await (await producer.send_batch(batch, self.topics.content(Lane.LIVE), partition=0))

    def go(self, name: str) -> None:
        """Let what waits for `name` go on."""
        (self.control / f"go-{name}").touch()

    def started(self, name: str) -> int:
        """How many times the guard was asked about `name`."""
        note = self.control / f"started-{name}"
        return len(note.read_text().splitlines()) if note.exists() else 0

    async def until_started(self, name: str, times: int = 1, seconds: float = 60.0) -> None:
        """Wait until the guard was asked about `name`."""
        await eventually(lambda: self.started(name) >= times, seconds, f"the guard was not asked about {name} {times} times")

    async def check_killed(self) -> None:
        """With no worker alive: assert that the committed offsets had passed nothing unfinished."""
        assert not any(worker.alive for worker in self._workers)
        committed = await self.observer.committed()
        check_committed(await self.observer.read(), committed, seed=self.seed)

    async def read_anew(self) -> Seen:
        """All that is on the topics now, read from their beginning by somebody else."""
        other = await Observer(self.bootstrap, self.topics).__aenter__()
        try:
            return await other.read()
        finally:
            await other.__aexit__()

    async def check(self, **options: Any) -> Report:
        """Assert the invariants over all that is on the topics."""
        return check_invariants(await self.observer.read(), seed=self.seed, **options)

    async def all_ended(self, events: int, seconds: float = 90.0) -> None:
        """Wait until so many different events have a verdict that ends them, and their offsets are committed."""
        await self.observer.until(lambda seen: seen.ended() >= events, seconds, f"verdicts of {events} events")
        await self.observer.until_committed()
        await self.observer.read()  # what was published before the last offset was released


def _iso(value: object) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()
