"""Two workers on one host: the second one is told which port is taken, and that a restart would not help."""

from __future__ import annotations

import pytest

from omniguard.entrypoints.health import Liveness, health_server
from omniguard.errors import Misconfigured


async def nothing_waits() -> bool:
    return False


async def test_a_taken_port_is_named() -> None:
    liveness = Liveness(30.0, nothing_waits)
    async with health_server("127.0.0.1", 0, liveness=liveness, readiness=dict, metrics=bytes) as port:
        with pytest.raises(Misconfigured, match=f"127.0.0.1:{port}.*OMNIGUARD_WORKER__HEALTH_PORT"):
            async with health_server("127.0.0.1", port, liveness=liveness, readiness=dict, metrics=bytes):
                pass
