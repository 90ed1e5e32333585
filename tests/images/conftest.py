"""The built images, and what they are run beside."""

from __future__ import annotations

import pytest

from containers import TRITON, WORKER, Podman


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Podman:
    made = Podman(tmp_path_factory.mktemp("podman"))
    for image in (WORKER, TRITON):
        made.load(image)
    return made
