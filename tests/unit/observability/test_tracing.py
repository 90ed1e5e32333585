from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from omniguard.observability import SPANS, configure_tracing, extract_context, inject_headers, span, traceparent

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01".encode()


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    stop = configure_tracing(None, exporter=exporter)
    yield exporter
    stop()
    configure_tracing(None)


def test_a_context_travels_even_when_nothing_is_recorded() -> None:
    configure_tracing(None)
    parent = extract_context({"traceparent": PARENT, "tracestate": b"a=1"})
    with span("omniguard.event", parent=parent):
        assert inject_headers({"ce_id": b"x"}) == {"ce_id": b"x", "traceparent": PARENT, "tracestate": b"a=1"}
        assert traceparent() == PARENT.decode()


def test_without_a_context_headers_stay(exported: InMemorySpanExporter) -> None:
    assert inject_headers({"a": b"1"}) == {"a": b"1"}
    assert traceparent() is None


@pytest.mark.parametrize("found", [b"", b"nonsense", b"\xff\xfe", PARENT[:-4]])
def test_a_malformed_context_is_none(found: bytes) -> None:
    with span("omniguard.event", parent=extract_context({"traceparent": found})):
        assert traceparent() is None


def test_spans_nest_and_carry_closed_attributes(exported: InMemorySpanExporter) -> None:
    parent = extract_context({"traceparent": PARENT})
    outer = span("omniguard.event", parent=parent, topic="content-events", partition=2, offset=17)
    with outer, span("omniguard.judge", stage="judge", attempts=3):
        inner = traceparent()
    judge, event = exported.get_finished_spans()
    assert inner is not None
    assert TRACE in inner
    assert format(judge.context.trace_id, "032x") == TRACE  # type: ignore[union-attr]
    assert judge.parent.span_id == event.context.span_id  # type: ignore[union-attr]
    assert dict(event.attributes or {}) == {
        "messaging.destination.name": "content-events",
        "messaging.destination.partition.id": 2,
        "messaging.kafka.offset": 17,
    }
    assert dict(judge.attributes or {}) == {"omniguard.stage": "judge", "omniguard.attempts": 3}


def test_a_failure_leaves_its_type_alone(exported: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="wrote"), span("omniguard.fetch"):
        raise ValueError("what the user wrote")
    (found,) = exported.get_finished_spans()
    assert found.attributes is not None
    assert found.attributes["error.type"] == "ValueError"
    assert not found.status.is_ok
    assert found.status.description is None
    assert found.events == ()


def test_span_names_are_ours() -> None:
    assert all(name.startswith("omniguard.") for name in SPANS)
