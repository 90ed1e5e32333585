"""The guard model under test, twice: its service in this process, and the model in genuine Triton."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from guard_asking import Direct, Guard, Triton
from omniguard.guard import engines
from omniguard.guard.service import GuardService


@pytest.fixture(scope="session")
def lite_service() -> Iterator[GuardService]:
    """With the settings of config.pbtxt."""
    service = GuardService(engines.load({"engine": "lite", "media_workers": "2", "max_in_flight": "64"}))
    yield service
    service.close()


@pytest.fixture(params=["direct", pytest.param("triton", marks=pytest.mark.triton)])
async def model(request: pytest.FixtureRequest) -> AsyncIterator[Guard]:
    """Takes raw requests."""
    if request.param == "direct":
        yield Direct(request.getfixturevalue("lite_service"))
        return
    served = Triton(request.getfixturevalue("triton_url"))
    yield served
    await served.close()
