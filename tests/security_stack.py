"""Fixtures over servers that demand a login: one Kafka broker with a listener for each way in, Valkey behind an ACL, Triton."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka.conn import create_conn
from aiokafka.protocol.admin import CreateAclsRequest_v1, DescribeAclsRequest_v1
from aiokafka.protocol.api import RequestStruct

from certificates import Authority, Files
from faults.nursery import Nursery
from front import Front
from omniguard.contracts.rights import Right
from omniguard.devstack import Stack, process
from omniguard.devstack.kafka import Kafka
from origins import free_ports

PASSWORD = "s3cret-of-the-worker"
"""Of Kafka's user `worker`; no output may hold it."""
SCRIPTED = Path(__file__).parent / "contract/scripted_guard"
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_LISTENERS = {
    "login": "SASL_PLAINTEXT",
    "secure": "SASL_SSL",
    "tls": "SSL",
    "mutual": "SSL",
    "elsewhere": "SSL",  # its certificate names another host
    "expired": "SSL",
}
_OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Alter": 7, "Describe": 8, "DescribeConfigs": 10, "AlterConfigs": 11}
_RESOURCES = {"topic": 2, "group": 3}
_ANY, _ALLOW, _LITERAL = 1, 3, 3


@dataclass(frozen=True, slots=True)
class Secured:
    """The authority that servers and clients trust, a client's certificate, and one of an authority that nobody knows."""

    authority: Path
    worker: Files
    stranger_authority: Path
    stranger: Files
    server: Files
    elsewhere: Files
    expired: Files


@dataclass(frozen=True, slots=True)
class SecureKafka:
    """`plain` is open and makes everyone a super user; the other listeners know the user `worker`, who has no rights."""

    plain: str
    login: str
    secure: str
    tls: str
    mutual: str
    elsewhere: str
    expired: str
    certificates: Secured

    async def allow(self, principal: str, *rights: Right) -> None:
        """Let `User:principal` do this; returns once the broker goes by it."""
        wanted = {
            (_RESOURCES[right.resource], right.name, _OPERATIONS[operation]) for right in rights for operation in right.operations
        }
        user, (host, port) = f"User:{principal}", self.plain.split(":")
        connection = await create_conn(host, int(port))
        try:
            asked = [(kind, name, _LITERAL, user, "*", operation, _ALLOW) for kind, name, operation in wanted]
            answer = await connection.send(_Fixed(CreateAclsRequest_v1(asked)))
            assert [code for code, _ in answer.creation_responses] == [0] * len(asked), answer
            async with asyncio.timeout(30):
                while True:
                    known = await connection.send(_Fixed(DescribeAclsRequest_v1(_ANY, None, _ANY, user, None, _ANY, _ANY)))
                    if wanted <= {(kind, name, acl[2]) for kind, name, _, acls in known.resources for acl in acls}:
                        return
        finally:
            connection.close()


class _Fixed:
    """A request whose version is chosen."""

    def __init__(self, request: RequestStruct) -> None:
        self._request = request

    def prepare(self, versions: object) -> RequestStruct:
        return self._request


@pytest.fixture(scope="session")
def nurse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Starts worker processes."""
    made = Nursery(tmp_path_factory.mktemp("exit-codes"))
    yield made
    made.close()


@asynccontextmanager
async def tls_front(port: int, server: Files, clients: Path | None = None) -> AsyncIterator[int]:
    """TLS before a server on a loopback port that speaks none; with `clients`, theirs must be signed by that authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(server.cert, server.key)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    async with Front(port, context) as front:
        yield front.port


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Secured:
    """Certificates; the server's names localhost and 127.0.0.1."""
    folder = tmp_path_factory.mktemp("certificates")
    ours, strange = Authority(folder), Authority(folder / "strange", "strangers")
    here = ("localhost", "127.0.0.1")
    return Secured(
        ours.file,
        ours.issue("worker"),
        strange.file,
        strange.issue("worker"),
        ours.issue("server", hosts=here),
        ours.issue("elsewhere", hosts=("broker.example", "10.9.8.7")),
        ours.issue("expired", hosts=here, expired=True),
    )


@pytest.fixture(scope="session")
def secure_kafka(secured: Secured, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """A broker of its own; mark tests with xdist_group("secure-kafka"), so that there is one.

    pytest-xdist 3.8 does not group under pytest 9.2 (node ids have become fixed): there each of its processes has one.
    """
    home = tmp_path_factory.mktemp("secure-kafka") / "kafka"
    names = ("kafka", "controller", *_LISTENERS)
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    scram = (word for m in _MECHANISMS[1:] for word in ("--add-scram", f"{m}=[name=worker,password={PASSWORD}]"))
    part = Kafka(settings=_settings(ports, secured), format_args=tuple(scram))
    part.fetch(lambda _: None)
    launch, mark = part.launch(home, ports), f"{home}#secure-kafka"
    running = process.start(launch, mark)
    try:
        until = time.monotonic() + part.start_limit
        process.wait_ready("kafka", running, lambda: part.ready(ports), launch.log, until)
        yield SecureKafka(
            f"127.0.0.1:{ports['kafka']}", *(f"localhost:{ports[name]}" for name in _LISTENERS), certificates=secured
        )
    finally:
        process.end([mark], 0.0, [running])


def _settings(ports: dict[str, int], secured: Secured) -> dict[str, str]:
    plain, controller = f"PLAINTEXT://127.0.0.1:{ports['kafka']}", f"CONTROLLER://127.0.0.1:{ports['controller']}"
    ours = ",".join(f"{name.upper()}://localhost:{ports[name]}" for name in _LISTENERS)
    settings = {
        "listeners": f"{plain},{controller},{ours}",
        "advertised.listeners": f"{plain},{ours}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
        + ",".join(f"{name.upper()}:{protocol}" for name, protocol in _LISTENERS.items()),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "sasl.enabled.mechanisms": ",".join(_MECHANISMS),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(secured.server.both),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(secured.authority),
        "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.elsewhere.ssl.keystore.location": str(secured.elsewhere.both),
        "listener.name.expired.ssl.keystore.location": str(secured.expired.both),
    }
    module = "org.apache.kafka.common.security"
    for name in ("login", "secure"):
        prefix = f"listener.name.{name}"
        settings[f"{prefix}.plain.sasl.jaas.config"] = f'{module}.plain.PlainLoginModule required user_worker="{PASSWORD}";'
        for mechanism in _MECHANISMS[1:]:
            settings[f"{prefix}.{mechanism.lower()}.sasl.jaas.config"] = f"{module}.scram.ScramLoginModule required;"
    return settings


@dataclass(frozen=True, slots=True)
class SecureTriton:
    """Two servers with the scripted model. `restricted` speaks TLS and wants VALUES; `mutual` wants a client's certificate."""

    restricted: str
    mutual: str


VALUES = {"omniguard": "v4lue-of-the-worker", "omniguard-admin": "v4lue-of-the-supervisor"}
"""Of the keys of restricted protocols."""


@pytest.fixture(scope="session")
def secure_triton(secured: Secured, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureTriton]:
    """Mark tests with xdist_group("secure-triton")."""
    tls = (
        "--grpc-use-ssl=true",
        f"--grpc-server-cert={secured.server.cert}",
        f"--grpc-server-key={secured.server.key}",
        f"--grpc-root-cert={secured.authority}",
    )
    restricted = (
        f"--grpc-restricted-protocol=inference:omniguard={VALUES['omniguard']}",
        "--grpc-restricted-protocol=model-repository,model-config,shared-memory,statistics,trace,logging:"
        f"omniguard-admin={VALUES['omniguard-admin']}",
    )
    wanted = {"restricted": (*tls, *restricted), "mutual": (*tls, "--grpc-use-ssl-mutual=true")}
    folder = tmp_path_factory.mktemp("secure-triton")
    stacks = {
        name: Stack(
            folder / name,
            parts=("triton",),
            model_repository=SCRIPTED,
            triton_args=args,
            triton_env={"OMNIGUARD_SCRIPT_NOTES": str(folder)},
            owner=os.getpid(),
        )
        for name, args in wanted.items()
    }
    try:
        ports = {name: stack.up().triton.rpartition(":")[2] for name, stack in stacks.items()}
        yield SecureTriton(**{name: f"localhost:{port}" for name, port in ports.items()})
    finally:
        for stack in stacks.values():
            stack.down(grace=1.0)
