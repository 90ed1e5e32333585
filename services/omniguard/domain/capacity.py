"""How much of everything a traffic needs: arithmetic over measured coefficients. docs/capacity.md says what it leaves out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from omniguard.domain.plan import ChunkPlan

__all__ = [
    "AGAIN",
    "GUARD",
    "HOURS",
    "PARTITIONS",
    "UNITS",
    "Coefficients",
    "Plan",
    "Prices",
    "Sizing",
    "Traffic",
    "labels",
    "plan",
]

UNITS: Mapping[str, str] = {
    "worker_base": "CPU cores of a worker without uploads",
    "worker_upload": "CPU seconds of a worker an upload of one short text",
    "worker_image": "CPU seconds of decoding a picture",
    "worker_audio_second": "CPU seconds of decoding a second of sound",
    "worker_video_second": "CPU seconds of decoding a second of film",
    "label_text": "guard seconds a label of one window of text",
    "label_image": "guard seconds a label of one picture",
    "label_audio": "guard seconds a label of one window of sound",
    "label_video": "guard seconds a label of one window of film",
    "critique": "guard seconds a critique",
    "redis_upload": "bytes in Redis an upload with its first segment",
    "redis_segment": "bytes in Redis a further segment",
}
"""Every coefficient, with what it counts. A guard second is a second of one core or one GPU, as `guard_unit` says."""
GUARD = ("label_text", "label_image", "label_audio", "label_video", "critique")
"""Those of the guard: they belong together, and to one model on one machine."""

HOURS = 730
"""In a month."""
PARTITIONS = 12
"""As declared; more come in multiples of it."""
AGAIN = {"label_image": 1, "label_audio": 1, "label_video": 2}
"""Further labels of a segment over the review threshold: each medium alone."""


@dataclass(frozen=True, slots=True)
class Coefficients:
    """What was measured. `values` has every name of UNITS, `sources` says of each where it is from."""

    name: str
    guard_unit: str
    values: Mapping[str, float]
    sources: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Uploads at the busiest time, and of what an upload consists on average.

    `average` is the mean rate as a share of the busiest. `cached` is the share of uploads that were judged before, `flagged` the
    share of segments over the review threshold, `critiques` the share of uploads that are explained.
    """

    uploads_per_s: float
    average: float = 1.0
    texts: float = 1.0
    text_chars: float = 200.0
    images: float = 0.0
    audio_seconds: float = 0.0
    video_seconds: float = 0.0
    cached: float = 0.0
    flagged: float = 0.02
    critiques: float = 0.03


@dataclass(frozen=True, slots=True)
class Sizing:
    """How things are run. `utilisation` is what may be busy at the busiest time; `spare` replicas are for a loss or an upgrade.

    `units` are the cores or GPUs of one replica of Triton. Events read by one process share one core; its decoders have theirs.
    """

    utilisation: float = 0.6
    spare: int = 1
    units: float = 1.0
    decoders: int = 2
    redis_days: float = 7.0


@dataclass(frozen=True, slots=True)
class Prices:
    """In any currency. None: the cost is not told."""

    worker_hour: float | None = None
    replica_hour: float | None = None
    redis_gib_month: float | None = None
    fixed_month: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is needed. Utilisations leave the spare replicas out. Costs are None where a price is not told."""

    labels_per_s: float
    guard_units: float
    replicas: int
    replica_utilisation: float
    worker_cores: float
    workers: int
    worker_utilisation: float
    partitions: int
    redis_gib: float
    cost_month: float | None = None
    cost_per_1000: float | None = None
    cost_by_part: Mapping[str, float] = field(default_factory=dict)


def labels(traffic: Traffic, chunks: ChunkPlan | None = None) -> dict[str, float]:
    """Labels of each kind that a new upload asks for on average, those asked again included."""
    cut = chunks or ChunkPlan()
    windows = max(1, math.ceil((traffic.text_chars - cut.text_overlap) / (cut.text_window - cut.text_overlap)))
    first = {
        "label_text": traffic.texts * windows,
        "label_image": traffic.images,
        "label_audio": traffic.audio_seconds / (cut.window_seconds - cut.overlap_seconds),
        "label_video": traffic.video_seconds / cut.window_seconds,
    }
    return {name: count * (1 + traffic.flagged * AGAIN.get(name, 0)) for name, count in first.items()}


def plan(traffic: Traffic, coefficients: Coefficients, sizing: Sizing | None = None, prices: Prices | None = None) -> Plan:
    """Size every part for the busiest time. Pure."""
    how, c = sizing or Sizing(), coefficients.values
    asked, new = labels(traffic), traffic.uploads_per_s * (1 - traffic.cached)
    guard = new * (sum(count * c[name] for name, count in asked.items()) + traffic.critiques * c["critique"])
    replicas = max(1, _up(guard / (how.units * how.utilisation)))
    loop, decoding = traffic.uploads_per_s * c["worker_upload"], new * _decoding(traffic, c)
    workers = max(1, _up(loop / max(how.utilisation - c["worker_base"], 0.01)), _up(decoding / (how.decoders * how.utilisation)))
    stored = new * traffic.average * how.redis_days * 86_400
    segments = max(1.0, sum(labels(replace(traffic, flagged=0.0)).values()))
    redis = stored * (c["redis_upload"] + (segments - 1) * c["redis_segment"]) / 2**30
    sized = Plan(
        labels_per_s=new * sum(asked.values()),
        guard_units=guard,
        replicas=replicas + how.spare,
        replica_utilisation=guard / (replicas * how.units),
        worker_cores=loop + decoding + workers * c["worker_base"],
        workers=workers,
        worker_utilisation=max(loop / workers + c["worker_base"], decoding / workers / how.decoders),
        partitions=PARTITIONS * max(1, _up(2 * workers / PARTITIONS)),
        redis_gib=redis,
    )
    return sized if prices is None else _priced(sized, traffic, prices)


def _decoding(traffic: Traffic, c: Mapping[str, float]) -> float:
    """CPU seconds of a new upload."""
    sound, film = traffic.audio_seconds * c["worker_audio_second"], traffic.video_seconds * c["worker_video_second"]
    return traffic.images * c["worker_image"] + sound + film


def _priced(sized: Plan, traffic: Traffic, prices: Prices) -> Plan:
    hours = {"workers": (sized.workers, prices.worker_hour), "triton": (sized.replicas, prices.replica_hour)}
    month = {name: None if price is None else count * price * HOURS for name, (count, price) in hours.items()}
    month["redis"] = None if prices.redis_gib_month is None else sized.redis_gib * prices.redis_gib_month
    told = {name: cost for name, cost in month.items() if cost is not None} | {"fixed": prices.fixed_month}
    if prices.worker_hour is None or prices.replica_hour is None:
        return _with_cost(sized, None, None, told)
    total, uploads = sum(told.values()), traffic.uploads_per_s * traffic.average * HOURS * 3600
    return _with_cost(sized, total, total / uploads * 1000, told)


def _with_cost(sized: Plan, month: float | None, per_1000: float | None, parts: Mapping[str, float]) -> Plan:
    return replace(sized, cost_month=month, cost_per_1000=per_1000, cost_by_part=dict(parts))


def _up(value: float) -> int:
    """To the next whole number; what a rounding error makes more than one is not counted."""
    return math.ceil(value - 1e-9)
