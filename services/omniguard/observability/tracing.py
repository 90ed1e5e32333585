"""Spans with closed names and attributes, and W3C trace context from and to Kafka headers.

Without `configure_tracing` nothing is recorded, but a context that came with an event still travels on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Final, Literal, TypedDict, Unpack, cast, get_args

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, Setter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Span = Literal[
    "omniguard.event",
    "omniguard.fetch",
    "omniguard.chunk",
    "omniguard.judge",
    "omniguard.guard",
    "omniguard.publish",
    "omniguard.critique",
]
SPANS: Final[tuple[Span, ...]] = get_args(Span)


class SpanAttributes(TypedDict, total=False):
    """Every attribute a span may have: closed sets and numbers, never content, tenant or content id."""

    topic: str
    partition: int
    offset: int
    lane: str
    stage: str
    mode: str
    attempts: int


_SEMANTIC: Final = {
    "topic": "messaging.destination.name",
    "partition": "messaging.destination.partition.id",
    "offset": "messaging.kafka.offset",
}
_CONTEXT: Final = TraceContextTextMapPropagator()


class _Headers(Getter[Mapping[str, bytes]], Setter[MutableMapping[str, bytes]]):
    """Kafka headers: text keys, byte values. A value that is not ASCII is no trace context, hence as good as none."""

    def get(self, carrier: Mapping[str, bytes], key: str) -> list[str] | None:
        value = carrier.get(key)
        return [value.decode("ascii")] if value is not None and value.isascii() else None

    def keys(self, carrier: Mapping[str, bytes]) -> list[str]:
        return list(carrier)

    def set(self, carrier: MutableMapping[str, bytes], key: str, value: str) -> None:
        carrier[key] = value.encode("ascii")


_HEADERS: Final = _Headers()


class _Tracing:
    """Holds the tracer in force; the no-op one until configured."""

    tracer: trace.Tracer = trace.NoOpTracer()


def configure_tracing(
    endpoint: str | None, *, service: str = "omniguard", exporter: SpanExporter | None = None
) -> Callable[[], None]:
    """Export spans by OTLP/HTTP to `endpoint` (the full URL, `…/v1/traces`); None records nothing.

    `exporter` replaces OTLP and exports each span as it ends (for tests). Returns what flushes and stops the export.
    """
    if endpoint is None and exporter is None:
        _Tracing.tracer = trace.NoOpTracer()
        return lambda: None
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    processor = SimpleSpanProcessor(exporter) if exporter else BatchSpanProcessor(_otlp(endpoint))
    provider.add_span_processor(processor)
    _Tracing.tracer = provider.get_tracer("omniguard")
    return provider.shutdown


def _otlp(endpoint: str | None) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # slow to import, and often not wanted

    return OTLPSpanExporter(endpoint=endpoint)


@contextmanager
def span(name: Span, *, parent: Context | None = None, **attributes: Unpack[SpanAttributes]) -> Iterator[trace.Span]:
    """Run a block in a span, below `parent` or else the span in force.

    An exception marks the span with its type; its message is left out, for it may quote content.
    """
    named = {_SEMANTIC.get(key, f"omniguard.{key}"): cast("str | int", value) for key, value in attributes.items()}
    # Not start_as_current_span: the no-op tracer's would drop the parent that came with the event.
    started = _Tracing.tracer.start_span(name, parent, attributes=named, record_exception=False, set_status_on_exception=False)
    with trace.use_span(started, end_on_exit=True, record_exception=False, set_status_on_exception=False) as current:
        try:
            yield current
        except BaseException as error:
            current.set_attribute("error.type", type(error).__name__)
            current.set_status(trace.StatusCode.ERROR)
            raise


def extract_context(headers: Mapping[str, bytes]) -> Context:
    """The W3C trace context of a record; an empty one where there is none or it is malformed."""
    return _CONTEXT.extract(headers, context=Context(), getter=_HEADERS)


def inject_headers(headers: Mapping[str, bytes]) -> dict[str, bytes]:
    """A copy of the headers with the context in force; unchanged where there is none."""
    carried = dict(headers)
    _CONTEXT.inject(carried, setter=_HEADERS)
    return carried


def traceparent() -> str | None:
    """The `traceparent` in force, for a guard request; None where there is none."""
    return {k: v.decode("ascii") for k, v in inject_headers({}).items()}.get("traceparent")
