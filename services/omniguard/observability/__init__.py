"""What an operator can see: metrics, spans and logs. Every name is a closed type; none of them carries user content."""

from __future__ import annotations

from omniguard.observability.catalog import COUNTERS, GAUGES, HISTOGRAMS, PRIORITIES, Counter, Gauge, Histogram, MetricSpec
from omniguard.observability.logs import FIELDS, configure_logging
from omniguard.observability.metrics import METRICS, Metrics
from omniguard.observability.tracing import (
    SPANS,
    Span,
    SpanAttributes,
    configure_tracing,
    extract_context,
    inject_headers,
    span,
    traceparent,
)

__all__ = [
    "COUNTERS",
    "FIELDS",
    "GAUGES",
    "HISTOGRAMS",
    "METRICS",
    "PRIORITIES",
    "SPANS",
    "Counter",
    "Gauge",
    "Histogram",
    "MetricSpec",
    "Metrics",
    "Span",
    "SpanAttributes",
    "configure_logging",
    "configure_tracing",
    "extract_context",
    "inject_headers",
    "span",
    "traceparent",
]
