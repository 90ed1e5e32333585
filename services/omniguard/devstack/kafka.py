"""Genuine Apache Kafka in KRaft mode, one node as broker and controller, on the jars that Maven brings."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Literal

from omniguard.devstack.cache import is_made, last_lines, once, require_space, verify
from omniguard.devstack.errors import DevStackError, MissingPrerequisite
from omniguard.devstack.java import find_java, home_of
from omniguard.devstack.parts import Ports
from omniguard.devstack.process import Launch

_DATA = resources.files("omniguard.devstack") / "data"
_CLUSTER = "b21uaWd1YXJkLWRldg"  # 16 bytes in base64, the same for every developer: a data folder survives a restart
_JVM = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
_JARS_MEGABYTES = 55
_DOWNLOAD_MEGABYTES = 300  # the jars, 75 MB of Maven's own repository, and room


@dataclass(frozen=True, slots=True)
class Kafka:
    """One broker whose topics are created explicitly and whose groups form without waiting.

    `settings` are added to its own and win over them; `format_args` go to the storage tool, as `--add-scram …`. `host` is the
    address that clients are told and served at; the controller stays on loopback.
    """

    host: str = "127.0.0.1"
    settings: Mapping[str, str] = field(default_factory=dict)
    format_args: tuple[str, ...] = ()
    name: Literal["kafka"] = "kafka"
    port_names: tuple[str, ...] = ("kafka", "controller")
    start_limit: float = 90.0
    children: int = 0

    def fetch(self, report: Callable[[str], None]) -> None:
        """Java and the jars: from $KAFKA_HOME, the cache, or Maven."""
        find_java()
        _jars(report)

    def launch(self, home: Path, ports: Ports) -> Launch:
        """Writes the settings, formats the storage if it is new, and returns the broker's command."""
        home.mkdir(parents=True, exist_ok=True)
        require_space(home, 500)
        settings = home / "server.properties"
        settings.write_text(_settings(self.host, home, ports, self.settings))
        logging = home / "log4j2.properties"
        logging.write_text(_DATA.joinpath("log4j2.properties").read_text())
        options = (*_JVM, f"-Dlog4j2.configurationFile={logging}", "-cp", f"{_jars()}/*")
        java = str(find_java())
        if not (home / "data" / "meta.properties").exists():
            _format(java, options, settings, self.format_args)
        return Launch((java, *options, "kafka.Kafka", str(settings)), home.parent / "kafka.log", {})

    def ready(self, ports: Ports) -> bool:
        """True once the broker lists itself, hence has left the controller's fence."""
        try:
            return _brokers(self.host, ports["kafka"]) > 0
        except (OSError, struct.error):
            return False

    def clear(self, home: Path) -> None:
        """A killed broker recovers its own log at the next start."""

    def urls(self, ports: Ports) -> dict[str, str]:
        """`kafka`: bootstrap servers."""
        return {"kafka": f"{self.host}:{ports['kafka']}"}


def _settings(host: str, home: Path, ports: Ports, more: Mapping[str, str]) -> str:
    broker, controller = f"{host}:{ports['kafka']}", f"127.0.0.1:{ports['controller']}"
    values = {
        "process.roles": "broker,controller",
        "node.id": "1",
        # A fixed quorum: the formatted storage then holds no port, and the same data starts on others.
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{broker}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(home / "data"),
        "auto.create.topics.enable": "false",
        "message.max.bytes": str(2 * 1024 * 1024),
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # Defaults for many brokers and large logs; here they would only cost start-up time and disk.
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "log.index.size.max.bytes": str(1024 * 1024),
        # Minutes by default: nobody would see on their own machine that records go when their time is over.
        "log.retention.check.interval.ms": "2000",
        "log.initial.task.delay.ms": "2000",
        "controlled.shutdown.enable": "false",
        # After kill -9 the controller refuses the new broker until the session of the old one has ended.
        "broker.session.timeout.ms": "4000",
        "broker.heartbeat.interval.ms": "500",
    }
    return "".join(f"{key}={value}\n" for key, value in {**values, **more}.items())


def _format(java: str, options: tuple[str, ...], settings: Path, more: tuple[str, ...]) -> None:
    command = [java, *options, "kafka.tools.StorageTool", "format", f"--cluster-id={_CLUSTER}", "--config", str(settings)]
    command += more
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise DevStackError(f"Kafka's storage could not be formatted:\n{last_lines(done.stdout + done.stderr)}")


def _brokers(host: str, port: int) -> int:
    """How many brokers a Metadata request (version 1, no topics) lists."""
    client = b"omniguard"
    body = struct.pack(">hhih", 3, 1, 1, len(client)) + client + struct.pack(">i", 0)
    with socket.create_connection((host, port), 2.0) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        (size,) = struct.unpack(">i", connection.recv(4, socket.MSG_WAITALL))
        _, brokers = struct.unpack(">ii", connection.recv(min(size, 4096), socket.MSG_WAITALL)[:8])
    return int(brokers)


def download_megabytes() -> int:
    """What `fetch` would download now: 0 where the jars are there."""
    return 0 if "KAFKA_HOME" in os.environ or is_made(_cache_key()) else _JARS_MEGABYTES


def _cache_key() -> str:
    return f"kafka-{hashlib.sha256(_DATA.joinpath('pom.xml').read_bytes()).hexdigest()[:12]}"


def _jars(report: Callable[[str], None] = lambda _: None) -> Path:
    """Folder of the broker's jars. Raises MissingPrerequisite when Maven is absent or cannot download them."""
    if named := os.environ.get("KAFKA_HOME"):
        jars = Path(named).expanduser() / "libs"
        if not any(jars.glob("kafka_*.jar")):
            raise DevStackError(f"KAFKA_HOME names {named}, but {jars} holds no kafka_*.jar; expected an unpacked Kafka release")
        return jars

    def make(into: Path) -> None:
        report(f"kafka: Maven downloads the broker's jars, {_JARS_MEGABYTES} MB, this once")
        _download(into)

    return once(_cache_key(), make, megabytes=_DOWNLOAD_MEGABYTES)


def _download(into: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise MissingPrerequisite(
            "Maven (mvn) was not found; it downloads Kafka's jars once",
            "apt-get install maven, or set KAFKA_HOME to an unpacked Kafka release, or use your own broker by --kafka HOST:PORT",
        )
    pom = into.parent / "pom.xml"
    pom.write_bytes(_DATA.joinpath("pom.xml").read_bytes())
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={into}"]
    done = subprocess.run(  # noqa: S603 - Maven with the user's settings as they are
        [maven, "-B", "-q", "-ntp", "-f", str(pom), *goal], capture_output=True, text=True, check=False, env=_maven_env()
    )
    if done.returncode != 0:
        raise MissingPrerequisite(
            f"Maven could not download Kafka's jars:\n{last_lines(done.stdout + done.stderr)}",
            "see that `mvn` can reach a repository (its settings.xml), or set KAFKA_HOME to an unpacked Kafka release",
        )
    verify(into, _DATA.joinpath("kafka-jars.sha256").read_text())


def _maven_env() -> dict[str, str]:
    """The user's environment; only a machine without any Java of its own is lent ours."""
    env = dict(os.environ)
    if "JAVA_HOME" not in env and shutil.which("java") is None:
        env["JAVA_HOME"] = str(home_of(find_java()))
    return env
