"""What a worker counts, read from its own page."""

from __future__ import annotations

import asyncio
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from faults.worker import Worker


async def metric(worker: Worker, name: str, **labels: str) -> float:
    """The sum of the series of that name which have these labels; 0.0 where there is none."""
    page = await asyncio.to_thread(_page, f"http://127.0.0.1:{worker.port}/metrics")
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())


def _page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return str(response.read().decode())
