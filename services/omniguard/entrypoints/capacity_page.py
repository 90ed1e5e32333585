"""docs/capacity.html: the calculator in a browser, with the same coefficients and nothing loaded from anywhere."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from omniguard.contracts.coefficients_file import SHIPPED, load_coefficients
from omniguard.domain import capacity
from omniguard.domain.capacity import Sizing, Traffic
from omniguard.domain.plan import ChunkPlan

__all__ = ["capacity_page"]

TEMPLATE = SHIPPED.with_name("page.html")
_TRAFFIC = (
    ("uploads_per_s", "uploads a second, busiest time", 0.5, 1000, 0.5),
    ("average", "mean rate, share of that", 0.05, 1, 0.05),
    ("texts", "texts an upload", 0, 5, 0.1),
    ("text_chars", "characters of a text", 0, 10_000, 50),
    ("images", "pictures an upload", 0, 10, 0.1),
    ("audio_seconds", "seconds of sound an upload", 0, 120, 1),
    ("video_seconds", "seconds of film an upload", 0, 120, 1),
    ("cached", "judged before, share", 0, 0.95, 0.01),
    ("flagged", "segments over the review threshold, share", 0, 0.5, 0.01),
    ("critiques", "explained, share", 0, 1, 0.01),
)
_SIZING = (
    ("utilisation", "busy at most, share", 0.05, 0.95, 0.05),
    ("spare", "spare replicas of Triton", 0, 10, 1),
    ("units", "cores or GPUs of a replica", 0.5, 64, 0.5),
    ("decoders", "decoding processes of a worker", 1, 16, 1),
    ("redis_days", "days an assessment is kept", 0, 60, 1),
)
_PRICES = (
    ("worker_hour", "a worker pod, an hour", 0, 2, 0.01),
    ("replica_hour", "a replica of Triton, an hour", 0, 20, 0.1),
    ("redis_gib_month", "a GiB of Redis, a month", 0, 50, 1),
    ("fixed_month", "all else, a month", 0, 10_000, 50),
)


def capacity_page(coefficients: Path | None = None) -> str:
    """The page, with the shipped coefficients or those of a file."""
    found = load_coefficients(coefficients)
    traffic, sizing = asdict(Traffic(uploads_per_s=50.0)), asdict(Sizing())
    rows = [
        {"name": n, "unit": capacity.UNITS[n], "value": value, "source": found.sources[n]} for n, value in found.values.items()
    ]
    data = {
        "guard": f"{found.name}, in seconds of one {found.guard_unit}",
        "guard_unit": found.guard_unit,
        "hours": capacity.HOURS,
        "partitions": capacity.PARTITIONS,
        "again": dict(capacity.AGAIN),
        "chunks": asdict(ChunkPlan()),
        "coefficients": rows,
        "inputs": [
            ["Traffic", [_input(each, traffic) for each in _TRAFFIC]],
            ["How it runs", [_input(each, sizing) for each in _SIZING]],
            ["Prices, in any currency", [_input(each, {}) for each in _PRICES]],
        ],
    }
    # Within a script nothing may look like its end.
    told = orjson.dumps(data, option=orjson.OPT_INDENT_2).decode().replace("<", "\\u003c")
    return TEMPLATE.read_text(encoding="utf-8").replace("/*DATA*/null", told)


def _input(entry: tuple[str, str, float, float, float], defaults: dict[str, Any]) -> dict[str, Any]:
    name, title, least, most, step = entry
    return {"name": name, "title": title, "min": least, "max": most, "step": step, "value": defaults.get(name, 0)}
