"""A genuine Kafka cluster of three brokers on loopback, each of which can be stopped, killed, frozen and cut off."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import AlterPartitionReassignmentsRequest_v0
from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.types import Array, Int8, Int16, Int32, Schema, String

from links import Links
from omniguard.devstack import Stack, process
from omniguard.devstack.kafka import Kafka
from omniguard.devstack.process import Running

NODES = (1, 2, 3)
_PREFERRED = 0
_PORTS = ("kafka", "controller")
_SETTLE = 240.0


class Cluster:
    """Three KRaft nodes, each broker and controller: replication 3, two in-sync replicas at least, every link through `Links`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = Stack(folder / "reaped", parts=(), owner=os.getpid())
        ports = _ports(len(NODES) * len(_PORTS) * 2)
        self._ports = {n: dict(zip(_PORTS, ports[4 * i : 4 * i + 2], strict=True)) for i, n in enumerate(NODES)}
        self._fronts = {n: dict(zip(_PORTS, ports[4 * i + 2 : 4 * i + 4], strict=True)) for i, n in enumerate(NODES)}
        self._parts = {n: Kafka(settings=self._settings(n)) for n in NODES}
        self._running: dict[int, Running] = {}
        self.links = Links(lambda node: self._running[node].pid if node in self._running else None)

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{self._fronts[n]['kafka']}" for n in NODES)

    def up(self) -> None:
        self._stack.up()  # its reaper ends the brokers should this process be killed
        self._parts[1].fetch(lambda _: None)
        for node in NODES:
            for name in _PORTS:
                self.links.front(node, self._fronts[node][name], self._ports[node][name])
        for node in NODES:
            self.start(node, wait=False)
        for node in NODES:
            self.await_ready(node)

    def down(self) -> None:
        process.end([self._stack.guests], 0.0, list(self._running.values()))
        self._stack.down(grace=1.0)
        self.links.close()

    def start(self, node: int, *, wait: bool = True) -> None:
        """Start a node on the data it has."""
        launch = self._parts[node].launch(self._folder / f"node{node}" / "kafka", self._ports[node])
        self._running[node] = process.start(launch, self._stack.guests)
        if wait:
            self.await_ready(node)

    def await_ready(self, node: int) -> None:
        part, running = self._parts[node], self._running[node]
        log = self._folder / f"node{node}" / "kafka.log"
        process.wait_ready("kafka", running, lambda: part.ready(self._ports[node]), log, time.monotonic() + _SETTLE)

    def stop(self, node: int) -> None:
        """SIGTERM: the broker hands its leaderships over first."""
        process.send(self._running[node], signal.SIGTERM)
        process.wait_gone(self._running.pop(node), 60.0)

    def kill(self, node: int) -> None:
        process.send(self._running[node], signal.SIGKILL)
        process.wait_gone(self._running.pop(node), 60.0)

    def freeze(self, node: int) -> None:
        process.send(self._running[node], signal.SIGSTOP)

    def thaw(self, node: int) -> None:
        process.send(self._running[node], signal.SIGCONT)

    def mend(self) -> None:
        """All nodes run, are awake and hear each other."""
        self.links.heal()
        for node in NODES:
            if node in self._running:
                self.thaw(node)
            else:
                self.start(node)

    async def leader(self, topic: str, partition: int) -> int:
        async with self._admin() as admin:
            return (await _partitions(admin, topic))[partition]["leader"]

    async def coordinator(self, group: str) -> int:
        """The broker that leads a consumer group."""
        async with self._admin() as admin:
            return await admin.find_coordinator(group)

    async def move_leader(self, topic: str, partition: int) -> tuple[int, int]:
        """Make the next in-sync replica the preferred leader, and elect it. Returns the nodes before and after."""
        async with self._admin() as admin:
            found = (await _partitions(admin, topic))[partition]
            before, replicas = found["leader"], found["replicas"]
            others = [node for node in replicas if node != before]
            wanted = [*others, before]
            await admin._send_to_controller(
                _Fixed(AlterPartitionReassignmentsRequest_v0(10_000, [(topic, [(partition, wanted, {})], {})], {}))
            )
            async with asyncio.timeout(_SETTLE):
                while (await _partitions(admin, topic))[partition]["leader"] != others[0]:
                    await admin._send_to_controller(_Fixed(_ElectLeaders(_PREFERRED, [(topic, [partition])], 10_000)))
                    await asyncio.sleep(0.1)
        return before, others[0]

    async def whole(self) -> None:
        """Wait until every replica of every partition is in sync."""
        async with asyncio.timeout(_SETTLE):
            while True:
                try:
                    async with self._admin() as admin:
                        described = await admin.describe_topics()
                    if all(len(p["isr"]) == len(NODES) and p["leader"] > 0 for t in described for p in t["partitions"]):
                        return
                except (KafkaError, TimeoutError, OSError):
                    pass  # a broker that is about to come back
                await asyncio.sleep(0.2)

    def _admin(self) -> _Admin:
        return _Admin(self.bootstrap)

    def _settings(self, node: int) -> dict[str, str]:
        own, front = self._ports[node], self._fronts[node]
        voters = ",".join(f"{n}@127.0.0.1:{self._fronts[n]['controller']}" for n in NODES)
        three = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
        return {
            "node.id": str(node),
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://127.0.0.1:{own['kafka']},CONTROLLER://127.0.0.1:{own['controller']}",
            # The controller's as well: else the others ask a leader of the quorum past its front, and are not parted from it.
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{front['kafka']},CONTROLLER://127.0.0.1:{front['controller']}",
            "default.replication.factor": "3",
            "min.insync.replicas": "2",
            **{f"{name}.replication.factor": "3" for name in three},
            **{f"{name}.min.isr": "2" for name in three[1:]},
            "controlled.shutdown.enable": "true",
            "broker.session.timeout.ms": "9000",  # Kafka's own default, unlike the single broker's
            "controller.quorum.fetch.timeout.ms": "4000",  # a busy machine is no lost controller
        }


class _Admin:
    """An admin client that does not wait long for a broker that is silent."""

    def __init__(self, bootstrap: str) -> None:
        self._client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5_000)

    async def __aenter__(self) -> AIOKafkaAdminClient:
        await self._client.start()
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()


async def _partitions(admin: AIOKafkaAdminClient, topic: str) -> dict[int, dict[str, object]]:
    (described,) = await admin.describe_topics([topic])
    return {p["partition"]: p for p in described["partitions"]}


class _Fixed:
    """A request whose version is chosen."""

    def __init__(self, request: RequestStruct) -> None:
        self._request = request

    def prepare(self, versions: object) -> RequestStruct:
        return self._request


class _ElectedLeaders(Response):
    API_KEY = 43
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "results",
            Array(
                ("topic", String("utf-8")),
                ("partitions", Array(("partition", Int32), ("error_code", Int16), ("error_message", String("utf-8")))),
            ),
        ),
    )


class _ElectLeaders(RequestStruct):
    """Kafka's ElectLeaders, version 1, which aiokafka does not have."""

    API_KEY = 43
    API_VERSION = 1
    RESPONSE_TYPE = _ElectedLeaders
    SCHEMA = Schema(
        ("election_type", Int8),
        ("topics", Array(("topic", String("utf-8")), ("partitions", Array(Int32)))),
        ("timeout_ms", Int32),
    )


def _ports(count: int) -> list[int]:
    """Free ports below those that the kernel gives to clients: nobody takes the place of a broker that is away."""
    choice = random.SystemRandom().sample(range(20_000, 32_000), 500)
    return [port for port in choice if process.port_is_free(port)][:count]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three brokers, whole at the start of every test that leaves them so."""
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        made.up()
        yield made
    finally:
        made.down()
