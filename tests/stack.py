"""Fixtures over genuine Kafka, Valkey and Triton.

One stack serves a whole pytest run: the first test that needs a part starts it, in whatever xdist worker it runs, and the
controlling process ends it. Tests that hurt a part take `own_stack`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omniguard.devstack import Stack, StackUrls

_RUN = "TEST_RUN_OF_OMNIGUARD"  # not OMNIGUARD_*, which settings would refuse
"""Holds "PID FOLDER" of the controlling process; xdist's workers inherit it."""
REPOSITORY = Path(__file__).parents[1] / "model_repository"


def pytest_configure(config: pytest.Config) -> None:
    """The controlling process chooses the run's folder."""
    if not hasattr(config, "workerinput"):
        os.environ[_RUN] = f"{os.getpid()} {tempfile.mkdtemp(prefix='omniguard-test-')}"


def pytest_unconfigure(config: pytest.Config) -> None:
    """The controlling process ends the stack; if it is killed, the stack's reaper does."""
    if not hasattr(config, "workerinput") and _RUN in os.environ:
        _, folder = _run()
        Stack(folder / "stack").down()
        shutil.rmtree(folder)
        del os.environ[_RUN]


def _run() -> tuple[int, Path]:
    owner, folder = os.environ[_RUN].split(" ", 1)
    return int(owner), Path(folder)


def _shared(*parts: str) -> StackUrls:
    owner, folder = _run()
    return Stack(folder / "stack", parts=parts, model_repository=REPOSITORY, owner=owner).up()  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def stack() -> StackUrls:
    """Addresses of Kafka, Valkey, and Triton with the guard model of this checkout."""
    return _shared("kafka", "redis", "triton")


@pytest.fixture(scope="session")
def kafka_url() -> str:
    """Bootstrap servers; starts Kafka alone."""
    return _shared("kafka").kafka


@pytest.fixture(scope="session")
def redis_url() -> str:
    """URL of Valkey; starts Valkey alone. Shared between tests: use keys of your own."""
    return _shared("redis").redis


@pytest.fixture(scope="session")
def triton_url() -> str:
    """gRPC address of Triton with the guard model of this checkout; starts Triton alone."""
    return _shared("triton").triton


@pytest.fixture
def topic_prefix() -> str:
    """Start of the names of this test's topics, so that tests on one broker never meet."""
    return f"t{uuid.uuid4().hex[:10]}."


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """Makes stacks (arguments as for `Stack`, folder and owner are given) that the test may stop and kill."""
    made: list[Stack] = []

    def make(**options: object) -> Stack:
        options.setdefault("model_repository", REPOSITORY)
        made.append(Stack(tmp_path / f"stack{len(made)}", owner=os.getpid(), **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.down(grace=1.0)
