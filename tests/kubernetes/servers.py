"""A genuine Kafka and a genuine Valkey beside the cluster, at an address that its pods reach."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from omniguard.devstack import Stack, process
from omniguard.devstack.kafka import Kafka
from omniguard.devstack.parts import Part
from omniguard.devstack.valkey import Valkey

_PORTS = {"kafka": 19_092, "controller": 19_093, "redis": 16_379}


@dataclass(frozen=True, slots=True)
class Servers:
    """Addresses for pods and for this machine alike."""

    kafka: str
    redis: str


@contextmanager
def servers(host: str, folder: Path) -> Iterator[Servers]:
    """Started, ready, and ended with the context or with this process."""
    stack = Stack(folder / "reaped", parts=(), owner=os.getpid())
    stack.up()  # its reaper ends them should this process be killed
    parts: tuple[Part, ...] = (Kafka(host=host), Valkey(host=host))
    try:
        running = {part.name: _start(part, folder, stack.guests) for part in parts}
        for part in parts:
            log = folder / f"{part.name}.log"
            until = time.monotonic() + part.start_limit
            process.wait_ready(part.name, running[part.name], lambda part=part: part.ready(_PORTS), log, until)  # type: ignore[misc]
        urls = {name: url for part in parts for name, url in part.urls(_PORTS).items()}
        yield Servers(urls["kafka"], urls["redis"])
    finally:
        process.end([stack.guests], 0.0)
        stack.down(grace=1.0)


def _start(part: Part, folder: Path, mark: str) -> process.Running:
    return process.start(part.launch(folder / part.name, _PORTS), mark)
