"""The one registry the metrics of `catalog` live in.

A misspelt name is a type error; an unknown label or label value is a ValueError. Labels take values from closed sets
only: never a tenant, a content id or anything a user wrote.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest

from omniguard.observability.catalog import COUNTERS, GAUGES, HISTOGRAMS, Counter, Gauge, Histogram, MetricSpec

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series each, of use to nobody here


class Metrics:
    """All metrics of one process. Every call raises ValueError on a label, or a label's value, that is not declared."""

    def __init__(self) -> None:
        """Make every declared series in a registry of our own.

        Counters begin at 0 for all their labels: one that began with its first count would hide that from `increase`. A gauge
        appears once it is set, so that a process says nothing about what it has not got.
        """
        self.registry = CollectorRegistry(auto_describe=True)
        self._counters = {n: prometheus_client.Counter(n, s.help, s.labels, registry=self.registry) for n, s in COUNTERS.items()}
        for name, spec in COUNTERS.items():
            for values in product(*spec.labels.values()) if spec.labels else ():
                self._counters[name].labels(*values)
        self._gauges: dict[Gauge, prometheus_client.Gauge] = {}
        self._histograms = {
            n: prometheus_client.Histogram(n, s.help, s.labels, registry=self.registry, buckets=s.buckets)
            for n, s in HISTOGRAMS.items()
        }

    def count(self, name: Counter, amount: float = 1.0, **labels: str) -> None:
        """Add `amount`, which is not negative."""
        series = self._counters[name]
        (series.labels(**labels) if _declared(name, COUNTERS[name], labels) else series).inc(amount)

    def set(self, name: Gauge, value: float, **labels: str) -> None:
        """Set a gauge."""
        spec = GAUGES[name]
        labelled = _declared(name, spec, labels)
        if name not in self._gauges:
            self._gauges[name] = prometheus_client.Gauge(name, spec.help, spec.labels, registry=self.registry)
        series = self._gauges[name]
        (series.labels(**labels) if labelled else series).set(value)

    def observe(self, name: Histogram, value: float, **labels: str) -> None:
        """Add one observation, in seconds."""
        series = self._histograms[name]
        (series.labels(**labels) if _declared(name, HISTOGRAMS[name], labels) else series).observe(value)

    def state(self, name: Gauge, label: str, now: str, **labels: str) -> None:
        """Set a gauge to 1 where `label` says `now`, and to 0 for its other values."""
        for value in GAUGES[name].labels[label]:
            self.set(name, int(value == now), **{label: value}, **labels)

    @contextmanager
    def timed(self, name: Histogram, **labels: str) -> Iterator[None]:
        """Observe how long the block ran, however it ended."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.observe(name, time.perf_counter() - start, **labels)

    def value(self, name: Counter | Gauge, **labels: str) -> float:
        """Read the value now, for health pages and tests; 0.0 where nothing was counted yet."""
        return self.registry.get_sample_value(name, labels) or 0.0

    def render(self) -> bytes:
        """Everything, in Prometheus' text format (`text/plain; version=0.0.4`)."""
        return generate_latest(self.registry)


def _declared(name: str, spec: MetricSpec, labels: Mapping[str, str]) -> bool:
    """Check labels against their declaration; True if there are any."""
    if labels.keys() != spec.labels.keys():
        raise ValueError(f"metric {name}: found labels {sorted(labels)}, expected {sorted(spec.labels)}")
    for label, value in labels.items():
        if value not in spec.labels[label]:
            # The value is not repeated: an undeclared one may be a user's text.
            raise ValueError(f"metric {name}: label {label} has an undeclared value, expected one of {spec.labels[label]}")
    return bool(labels)


METRICS: Final = Metrics()
"""The process' own; pass another `Metrics()` where a test wants to count alone."""
