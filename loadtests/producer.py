"""Sends a schedule at its own pace, whatever comes back (open loop)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from aiokafka import AIOKafkaProducer

from loadtests.payloads import Payloads
from loadtests.reporter import Sent
from loadtests.scenarios import Due

MAX_REQUEST = 2 * 1024 * 1024


async def produce(
    producer: AIOKafkaProducer,
    topic: str,
    dues: Iterable[Due],
    payloads: Payloads,
    start: float,
    told: Callable[[Sent], object],
) -> None:
    """Send each upload when it is due; `start` is on `time.perf_counter`. `told` hears of each before it goes out.

    Raises:
        KafkaError: the broker did not take one.

    """
    unconfirmed: list[Awaitable[object]] = []
    for due in dues:
        at = start + due.at
        payload = payloads.make(due.kind, due.tenant, due.number, due.at)
        if (wait := at - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        told(Sent(payload.key.decode(), at, time.perf_counter(), due.group, due.phase, payload.ends))
        unconfirmed.append(await producer.send(topic, payload.value, payload.key))
        if len(unconfirmed) >= 1000:
            await asyncio.gather(*unconfirmed)
            unconfirmed.clear()
    await asyncio.gather(*unconfirmed)
