"""Every Kafka client of ours through every way in, on a genuine broker that demands a login and grants only what was allowed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from typer.testing import CliRunner

from faults.harness import Installation, eventually
from faults.nursery import Nursery
from omniguard.adapters.kafka_client import client_options
from omniguard.adapters.kafka_publisher import KafkaPublisher
from omniguard.adapters.start_offsets import ensure_start
from omniguard.adapters.topics_admin import TopicsAdmin
from omniguard.contracts.rights import Right, rights
from omniguard.contracts.topics import Component, Topics
from omniguard.domain.lane import Lane
from omniguard.entrypoints.answers import Answers
from omniguard.entrypoints.cli import app
from omniguard.errors import Misconfigured
from omniguard.observability import Metrics
from omniguard.ports import Message
from omniguard.settings import KafkaSettings
from security_stack import PASSWORD, SecureKafka

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("secure-kafka")]

WRONG = "n0t-the-password"


def way(kafka: SecureKafka, name: str, **more: Any) -> dict[str, str]:
    """Settings for one way in; `more` replaces some of them."""
    files = kafka.certificates
    login = {"username": "worker", "password": PASSWORD}
    trust = {"ca_file": files.authority}
    ways: dict[str, dict[str, object]] = {
        "PLAIN": {"bootstrap": kafka.login, "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", **login},
        "PLAIN over TLS": {
            "bootstrap": kafka.secure,
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "PLAIN",
            **login,
            **trust,
        },
        "SCRAM-SHA-256": {
            "bootstrap": kafka.login,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-256",
            **login,
        },
        "SCRAM-SHA-512 over TLS": {"bootstrap": kafka.secure, "security_protocol": "SASL_SSL", **login, **trust},
        "TLS": {"bootstrap": kafka.tls, "security_protocol": "SSL", **trust},
        "mutual TLS": {
            "bootstrap": kafka.mutual,
            "security_protocol": "SSL",
            "cert_file": files.worker.cert,
            "key_file": files.worker.key,
            **trust,
        },
    }
    given = {**ways[name], **more}
    return {key: str(value) for key, value in given.items() if value is not None}


WAYS = ("PLAIN", "PLAIN over TLS", "SCRAM-SHA-256", "SCRAM-SHA-512 over TLS", "TLS", "mutual TLS")

_STRANGE = "found a certificate that is not trusted (unable to get local issuer"
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "password, PLAIN": ("PLAIN", {"password": WRONG}, "found the login of user worker refused"),
    "password, SCRAM": ("SCRAM-SHA-512 over TLS", {"password": WRONG}, "found the login of user worker refused"),
    "user": ("SCRAM-SHA-256", {"username": "nobody"}, "found the login of user nobody refused"),
    "authority": (
        "TLS",
        {"ca_file": "stranger_authority"},
        _STRANGE,
    ),
    "no authority": ("TLS", {"ca_file": None}, _STRANGE),
    "host name": ("TLS", {"bootstrap": "elsewhere"}, "found a certificate for another host"),
    "out of date": ("TLS", {"bootstrap": "expired"}, "found a certificate that is not trusted (certificate has expired)"),
    "no certificate": ("mutual TLS", {"cert_file": None, "key_file": None}, "found our certificate refused"),
    "strange certificate": ("mutual TLS", {"cert_file": "stranger", "key_file": "stranger"}, "found our certificate refused"),
}
"""What is wrong, and what every client must say of it."""


def refused(kafka: SecureKafka, case: str) -> tuple[dict[str, str], str]:
    name, wrong, says = REFUSED[case]
    files = kafka.certificates
    more: dict[str, Any] = {}
    for key, value in wrong.items():
        match key, value:
            case "ca_file", "stranger_authority":
                more[key] = files.stranger_authority
            case "bootstrap", _:
                more[key] = getattr(kafka, value)
            case (("cert_file" | "key_file"), "stranger"):
                more[key] = files.stranger.cert if key == "cert_file" else files.stranger.key
            case _:
                more[key] = value
    return way(kafka, name, **more), says


def environment(settings: dict[str, str]) -> dict[str, str]:
    return {f"OMNIGUARD_KAFKA__{name.upper()}": value for name, value in settings.items()}


async def created(kafka: SecureKafka, prefix: str) -> Topics:
    topics = Topics(prefix)
    async with TopicsAdmin({"bootstrap_servers": kafka.plain}) as admin:
        await admin.apply(topics.all)
    return topics


async def publish(settings: KafkaSettings, message: Message) -> None:
    publisher = KafkaPublisher(settings, metrics=Metrics())
    try:
        await publisher.start()
        await publisher.publish(message)
    finally:
        await publisher.stop()


@pytest.mark.parametrize("name", WAYS)
async def test_every_client_gets_in(secure_kafka: SecureKafka, topic_prefix: str, name: str) -> None:
    topics = await created(secure_kafka, topic_prefix)
    for component in (Component.OPERATOR, Component.WORKER_LIVE):
        await secure_kafka.allow("worker", *rights(topics, component))
    settings = KafkaSettings(**way(secure_kafka, name), topic_prefix=topic_prefix)  # type: ignore[arg-type]
    options = client_options(settings)
    async with TopicsAdmin(options) as admin:
        assert await admin.check(topics.all) == []
    await ensure_start(options, topics.content(Lane.LIVE), topics.group(Lane.LIVE), "earliest")
    await publish(settings, Message(topics.dead_letters, b"acme|1", b"x"))
    async with Answers(settings, earliest=True).opened():
        pass


@pytest.mark.parametrize("name", ["PLAIN over TLS", "SCRAM-SHA-256", "SCRAM-SHA-512 over TLS", "mutual TLS"])
async def test_a_worker_with_its_own_rights_and_no_more(
    secure_kafka: SecureKafka, nurse: Nursery, topic_prefix: str, tmp_path: Path, name: str
) -> None:
    """Faust's consumer, the publisher and the start offsets, in the worker process, whose log at DEBUG keeps the password."""
    async with Installation(nurse, secure_kafka.plain, topic_prefix, tmp_path, seed=0) as installation:
        await installation.create(1)
        await secure_kafka.allow("worker", *rights(installation.topics, Component.WORKER_LIVE))
        given = {f"kafka__{key}": value for key, value in way(secure_kafka, name).items()}
        worker = await installation.start(telemetry__log_level="DEBUG", **given)
        await installation.upload("one", "good morning")
        await installation.observer.until(lambda seen: seen.verdicts_of("one"))
        worker.signal(15)
        assert await worker.gone() == 0, worker.tail()
        assert PASSWORD not in worker.log.read_text()


async def test_without_rights_each_client_says_which(secure_kafka: SecureKafka, topic_prefix: str) -> None:
    topics = await created(secure_kafka, topic_prefix)
    settings = KafkaSettings(**way(secure_kafka, "PLAIN"), topic_prefix=topic_prefix)  # type: ignore[arg-type]
    options, group = client_options(settings), topics.group(Lane.LIVE)
    with pytest.raises(Misconfigured, match=r"TopicAuthorizationFailedError.*omniguard topics acls"):
        await ensure_start(options, topics.content(Lane.LIVE), group, "earliest")
    await secure_kafka.allow("worker", Right("topic", topics.content(Lane.LIVE), ("Read",)))
    with pytest.raises(Misconfigured, match=r"GroupAuthorizationFailedError.*omniguard topics acls"):
        await ensure_start(options, topics.content(Lane.LIVE), group, "earliest")
    with pytest.raises(Misconfigured, match=r"AuthorizationFailedError.*(omniguard topics acls|IdempotentWrite)"):
        await publish(settings, Message(topics.verdicts, b"acme|1", b"x"))
    with pytest.raises(Misconfigured, match=r"found no right to read.*omniguard topics acls operator"):
        async with Answers(settings).opened():
            pass


async def test_a_group_that_may_be_described_and_not_joined_is_told(secure_kafka: SecureKafka, topic_prefix: str) -> None:
    topics = await created(secure_kafka, topic_prefix)
    topic, group = topics.content(Lane.LIVE), topics.group(Lane.LIVE)
    await ensure_start({"bootstrap_servers": secure_kafka.plain}, topic, group, "earliest")
    await secure_kafka.allow("worker", Right("topic", topic, ("Read",)), Right("group", group, ("Describe",)))
    options = client_options(KafkaSettings(**way(secure_kafka, "PLAIN")))  # type: ignore[arg-type]
    with pytest.raises(Misconfigured, match=r"GroupAuthorizationFailedError.*omniguard topics acls"):
        await ensure_start(options, topic, group, None)
    await secure_kafka.allow("worker", Right("group", group, ("Read",)))
    await ensure_start(options, topic, group, None)


async def test_a_topic_that_may_be_described_and_not_read_is_told(secure_kafka: SecureKafka, topic_prefix: str) -> None:
    topics = await created(secure_kafka, topic_prefix)
    topic, group = topics.content(Lane.LIVE), topics.group(Lane.LIVE)
    plain = {"bootstrap_servers": secure_kafka.plain}
    await ensure_start(plain, topic, group, "earliest")
    await secure_kafka.allow("worker", Right("topic", topic, ("Describe",)), Right("group", group, ("Read",)))
    options = client_options(KafkaSettings(**way(secure_kafka, "PLAIN")))  # type: ignore[arg-type]
    with pytest.raises(Misconfigured, match=rf"topic {topic}: found TopicAuthorizationFailedError.*omniguard topics acls"):
        await ensure_start(options, topic, group, None)
    await secure_kafka.allow("worker", Right("topic", topic, ("Read",)))
    async with AIOKafkaConsumer(group_id=group, enable_auto_commit=False, **plain) as member:
        before = await member.committed(TopicPartition(topic, 0))
        await ensure_start(options, topic, group, None)
        assert await member.committed(TopicPartition(topic, 0)) == before, "the commit of nobody changes nothing"


async def test_an_operator_makes_the_topics_with_its_own_rights(secure_kafka: SecureKafka, topic_prefix: str) -> None:
    topics = Topics(topic_prefix)
    await secure_kafka.allow("worker", *rights(topics, Component.OPERATOR))
    options = client_options(KafkaSettings(**way(secure_kafka, "PLAIN")))  # type: ignore[arg-type]
    async with TopicsAdmin(options) as admin:
        mended, left = await admin.apply(topics.all)
    assert ({d.topic for d in mended}, left) == ({t.name for t in topics.all}, [])


@pytest.mark.parametrize("case", REFUSED)
async def test_a_publisher_that_is_not_let_in_says_why(secure_kafka: SecureKafka, case: str) -> None:
    settings, says = refused(secure_kafka, case)
    publisher = KafkaPublisher(KafkaSettings(**settings), metrics=Metrics())  # type: ignore[arg-type]
    with pytest.raises(Misconfigured) as caught:
        await asyncio.wait_for(publisher.start(), 30)
    await publisher.stop()
    said = str(caught.value)
    assert says in said
    assert "expected" in said
    assert not {PASSWORD, WRONG} & set(said.split())
    assert not publisher.available


@pytest.mark.parametrize("case", ["password, SCRAM", "authority", "host name", "no certificate"])
@pytest.mark.parametrize("command", [["topics", "check"], ["watch"], ["publish", "a text", "--tenant", "acme"]])
def test_a_command_that_is_not_let_in_says_why(secure_kafka: SecureKafka, case: str, command: list[str]) -> None:
    settings, says = refused(secure_kafka, case)
    result = CliRunner().invoke(app, command, env=environment(settings))
    assert result.exit_code == 2, result.output
    assert says in result.output
    assert PASSWORD not in result.output
    assert WRONG not in result.output


def test_one_listener_for_another_is_told_to_commands(secure_kafka: SecureKafka) -> None:
    for settings, says in (
        ({"bootstrap": secure_kafka.login}, "see that this listener speaks PLAINTEXT"),
        ({"bootstrap": secure_kafka.tls}, "see that this listener speaks PLAINTEXT"),
        ({"bootstrap": secure_kafka.plain, "security_protocol": "SSL"}, "see that this listener speaks SSL"),
        (way(secure_kafka, "PLAIN", bootstrap=secure_kafka.plain), "found PLAIN not offered"),
    ):
        result = CliRunner().invoke(app, ["topics", "check"], env=environment(settings))
        assert (result.exit_code, says in result.output) == (2, True), result.output


def test_a_worker_that_is_not_let_in_exits_and_its_log_keeps_the_secret(secure_kafka: SecureKafka, tmp_path: Path) -> None:
    settings, says = refused(secure_kafka, "password, PLAIN")
    password = tmp_path / "password"
    password.write_text(settings.pop("password"))
    settings["password_file"] = str(password)
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith("OMNIGUARD_")},
        **environment(settings),
        "OMNIGUARD_REDIS__URL": f"redis://someone:{WRONG}-redis@127.0.0.1:1",
        "OMNIGUARD_TRITON__RESTRICTED_VALUE": f"{WRONG}-triton",
        "OMNIGUARD_TELEMETRY__LOG_LEVEL": "DEBUG",
        "OMNIGUARD_WORKER__HEALTH_PORT": "0",
        "OMNIGUARD_POLICY__TENANTS": str(Path(__file__).parents[2] / "services/omniguard/policies/tenants-demo.yaml"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "omniguard", "worker", "--from", "earliest"], env=env, capture_output=True, text=True, timeout=120
    )
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert says in said.replace("\n", " ")
    assert WRONG not in said


async def test_a_login_refused_later_is_waited_out_and_nothing_is_lost(
    secure_kafka: SecureKafka, topic_prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a password was changed at the broker: alive, not ready, and the reason told once."""
    topics = await created(secure_kafka, topic_prefix)
    await secure_kafka.allow("worker", *rights(topics, Component.WORKER_LIVE))
    right, wrong = (KafkaSettings(**way(secure_kafka, "PLAIN", password=p)) for p in (PASSWORD, WRONG))  # type: ignore[arg-type]
    publisher = KafkaPublisher(right, metrics=Metrics())
    await publisher.start()
    publisher._settings = wrong
    publisher._replace(publisher._producer, TimeoutError())
    with structlog.testing.capture_logs() as logs:
        publishing = asyncio.create_task(publisher.publish(Message(topics.verdicts, b"acme|1", b"x")))
        await eventually(lambda: publisher._failures > 2, 30, "attempts")
        assert not publishing.done()
        assert not publisher.available
    told = [entry for entry in logs if entry["event"] == "the broker does not let us in"]
    assert ["refused" in str(entry["exc_info"]) for entry in told] == [True]
    publisher._settings = right
    await asyncio.wait_for(publishing, 30)
    assert publisher.available
    await publisher.stop()
    assert not {PASSWORD, WRONG} & set(json.dumps([str(entry) for entry in logs]).split())
