"""What a PromQL expression names, checked against the metrics that the code declares. Its grammar is promtool's to check."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from omniguard.observability import COUNTERS, GAUGES, HISTOGRAMS, MetricSpec

OF_PROMETHEUS = {"instance", "job", "pod", "namespace", "release"}
"""Labels that the scraping side adds."""
_SELECTOR = re.compile(r"(omniguard[a-zA-Z0-9_:]+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|without|ignoring|on|group_left|group_right)\s*\(([^)]*)\)")
_REGULAR = {"=~", "!~"}


def selectors(expression: str) -> list[tuple[str, str]]:
    """Each series named, with what stands in its braces."""
    return _SELECTOR.findall(expression)


def check_series(expression: str, recorded: Collection[str] = ()) -> None:
    """Fail on a metric, a label or a label's value that the code does not declare and no rule records."""
    known = set(OF_PROMETHEUS)
    for name, braces in selectors(expression):
        if name in recorded:
            known |= {"lane"}
            continue
        labels = _labels(name)
        known |= labels.keys()
        for label, operator, wanted in _MATCHER.findall(braces):
            if label in OF_PROMETHEUS:
                continue
            assert label in labels, f"{name} has no label {label}, expected one of {sorted(labels)}"
            for value in wanted.split("|") if operator in _REGULAR else [wanted]:
                assert value in labels[label], f"{name}: {label} is never {value}, expected one of {labels[label]}"
    for grouping in _GROUPING.findall(expression):
        unknown = set(re.findall(r"\w+", grouping)) - known
        assert not unknown, f"no series of the expression has the label {unknown}"


_PLAIN: dict[str, MetricSpec] = {name: spec for declared in (COUNTERS, GAUGES) for name, spec in declared.items()}
_HISTOGRAMS: dict[str, MetricSpec] = {name: spec for name, spec in HISTOGRAMS.items()}  # noqa: C416  a wider type of key


def _labels(name: str) -> Mapping[str, tuple[str, ...]]:
    for suffix in ("_bucket", "_count", "_sum"):
        histogram = _HISTOGRAMS.get(name.removesuffix(suffix))
        if histogram is not None and name.endswith(suffix):
            bounds = {"le": (*(str(float(bound)) for bound in histogram.buckets), "+Inf")} if suffix == "_bucket" else {}
            return {**histogram.labels, **bounds}
    assert name in _PLAIN, f"no metric {name}: see docs/metrics.md"
    return _PLAIN[name].labels
