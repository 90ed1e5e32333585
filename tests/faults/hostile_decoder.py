"""The decoder's child, of which a file takes over: a file that holds ATTACK and a name does as it says; others are decoded."""

from __future__ import annotations

import os
import resource
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omniguard.domain.content import MediaInfo
from omniguard.media import child
from omniguard.media.framing import pack
from omniguard.media.limits import DecodeLimits

NOTHING = MediaInfo(None, has_frames=False, has_sound=False)


def _spin() -> None:
    while True:
        pass


def _spin_unbounded() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    _spin()


def _environment_of_worker() -> None:
    Path(f"/proc/{os.getppid()}/environ").read_bytes()


def _fork_bomb() -> None:
    while True:
        os.fork()


def _answers(message: bytes) -> Callable[[], None]:
    send = child._send

    def attack() -> None:
        child._send = lambda answers, _: send(answers, message)

    return attack


ATTACKS: dict[str, Callable[[], Any]] = {
    "socket": lambda: socket.create_connection(("127.0.0.1", 80)),
    "fork-bomb": _fork_bomb,
    "environment": _environment_of_worker,
    "write": lambda: Path("/tmp/omniguard-was-here").write_bytes(b"x"),
    "allocate": lambda: bytearray(64 << 30),
    "spin": _spin,
    "spin-unbounded": _spin_unbounded,
    "list": _answers(pack([])),  # type: ignore[arg-type]
    "error": _answers(pack({"kind": "error", "reason": "no such reason", "message": "x"})),
    "info": _answers(pack({"kind": "info", "info": {"seconds": "x", "has_frames": True, "has_sound": False}})),
    "size": _answers(b"\xff" * 64),
}
_probe = child.probe


def _attack(path: Path, limits: DecodeLimits) -> MediaInfo:
    _, found, name = path.read_bytes()[:100].partition(b"ATTACK ")
    if not found:
        return _probe(path, limits)
    ATTACKS[name.split()[0].decode()]()
    return NOTHING


if __name__ == "__main__":
    child.probe = _attack
    sys.exit(child.main(*sys.argv[1:3]))
