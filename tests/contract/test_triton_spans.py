"""What Triton itself says of a request stands in the trace of the event that asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from omniguard.adapters.triton_guard import TritonGuard
from omniguard.devstack import Stack
from omniguard.guard.wire import GuardRequest, Mode, WirePart
from omniguard.observability import Metrics, extract_context, span


@pytest.mark.triton
@pytest.mark.slow
async def test_tritons_own_spans_join_the_events_trace(own_stack: Callable[..., Stack], tmp_path: Path) -> None:
    bodies: asyncio.Queue[bytes] = asyncio.Queue()

    async def receive(request: web.Request) -> web.Response:
        await bodies.put(await request.read())
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/v1/traces", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    collector = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces"
    traces = (
        "mode=opentelemetry",
        "rate=1",
        "level=TIMESTAMPS",
        f"opentelemetry,url={collector}",
        "opentelemetry,bsp_schedule_delay=100",
    )
    stack = own_stack(
        parts=("triton",),
        model_repository=Path(__file__).parent / "scripted_guard",
        triton_env={"OMNIGUARD_SCRIPT_NOTES": str(tmp_path)},
        triton_args=[f"--trace-config={setting}" for setting in traces],
    )
    urls = await asyncio.to_thread(stack.up)
    client = TritonGuard([urls.triton], metrics=Metrics())
    request = GuardRequest(mode=Mode.LABEL, parts=(WirePart(id="p0", modality="text", text="hello"),), deadline_ms=20_000)
    trace = "0af7651916cd43dd8448eb211c80319c"
    with span("omniguard.event", parent=extract_context({"traceparent": f"00-{trace}-b7ad6b7169203331-01".encode()})):
        await client.label(request, ())
    async with asyncio.timeout(60):
        body = await bodies.get()
        while trace.encode() not in body:
            body = await bodies.get()
    assert b"omniguard" in body
    await client.close()
    await runner.cleanup()
