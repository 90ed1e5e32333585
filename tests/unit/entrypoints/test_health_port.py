"""The health server: a taken port is named, and what is away is told without making a worker unready."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest

from omniguard.adapters.redis_store import RedisAssessmentStore
from omniguard.adapters.triton_guard import TritonGuard
from omniguard.entrypoints.health import Liveness, health_server
from omniguard.entrypoints.worker_gauges import away
from omniguard.errors import Misconfigured, Retryable
from omniguard.guard.wire import GuardRequest, Mode
from omniguard.observability import Metrics


async def nothing_waits() -> bool:
    return False


async def test_a_taken_port_is_named() -> None:
    liveness = Liveness(30.0, nothing_waits)
    async with health_server("127.0.0.1", 0, liveness=liveness, readiness=dict, metrics=bytes) as port:
        with pytest.raises(Misconfigured, match=f"127.0.0.1:{port}.*OMNIGUARD_WORKER__HEALTH_PORT"):
            async with health_server("127.0.0.1", port, liveness=liveness, readiness=dict, metrics=bytes):
                pass


@pytest.mark.parametrize("lines", [[], ["redis: cannot be asked"]])
async def test_what_is_away_is_listed_and_does_not_make_a_worker_unready(lines: list[str]) -> None:
    liveness = Liveness(30.0, nothing_waits)
    server = health_server(
        "127.0.0.1", 0, liveness=liveness, readiness=lambda: {"kafka": True}, metrics=bytes, away=lambda: lines
    )
    async with server as port, aiohttp.ClientSession() as asking, asking.get(f"http://127.0.0.1:{port}/readyz") as page:
        assert page.status == 200
        assert await page.json() == {"status": "ready", "kafka": True, **({"away": lines} if lines else {})}


async def test_redis_and_the_guard_are_named_once_nobody_answers_there(tmp_path: Path) -> None:
    """At a port where nobody listens."""
    store = RedisAssessmentStore.at("redis://127.0.0.1:9", state=tmp_path, on_error=lambda _: None)
    guard = TritonGuard(["127.0.0.1:9"], metrics=Metrics())
    service = SimpleNamespace(store=store, guard=guard)
    assert away(service) == []  # type: ignore[arg-type]
    await store.get("og:a:acme:x")
    with pytest.raises(Retryable):
        await guard.label(GuardRequest(mode=Mode.LABEL, deadline_ms=1_000), ())
    assert [line.partition(":")[0] for line in away(service)] == ["redis", "triton"]  # type: ignore[arg-type]
    assert "1 of 1 servers" in away(service)[1]  # type: ignore[arg-type]
    await guard.close()
    await store.close()
