from __future__ import annotations

import ast
import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

import omniguard
from omniguard.errors import BadContent, Reason
from omniguard.observability import FIELDS, configure_logging, extract_context, span

SECRET = "what the user wrote"
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    root = logging.getLogger()
    before, level, ours = root.handlers[:], root.level, logging.getLogger("omniguard").level
    stream = io.StringIO()
    configure_logging(stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = before
    root.setLevel(level)
    logging.getLogger("omniguard").setLevel(ours)
    structlog.reset_defaults()


def test_a_line_is_json_with_the_known_fields(lines: Lines) -> None:
    structlog.get_logger("omniguard.stages").info("event finished", stage="judge", count=17)
    (line,) = lines()
    assert line.pop("timestamp")
    assert line == {"event": "event finished", "level": "info", "logger": "omniguard.stages", "stage": "judge", "count": 17}


def test_a_line_names_the_span_it_was_written_in(lines: Lines) -> None:
    parent = extract_context({"traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
    with span("omniguard.event", parent=parent):
        structlog.get_logger("omniguard").info("inside")
    structlog.get_logger("omniguard").info("outside")
    inside, outside = lines()
    assert (inside["trace_id"], inside["span_id"]) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert "trace_id" not in outside


def test_other_fields_are_dropped_by_name(lines: Lines) -> None:
    structlog.get_logger("omniguard").warning("odd", text=SECRET, tenant="acme", stage="chunk")
    (line,) = lines()
    assert line["dropped_fields"] == ["tenant", "text"]
    assert line["stage"] == "chunk"
    assert SECRET not in json.dumps(line)
    assert "acme" not in json.dumps(line)


def test_no_line_of_ours_has_a_field_that_is_dropped() -> None:
    """The guard has a log of its own, inside Triton."""
    package = Path(omniguard.__file__).parent
    used = {
        keyword.arg
        for path in package.rglob("*.py")
        if not path.is_relative_to(package / "guard")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in ("log", "_log")
        for keyword in call.keywords
    }
    assert {"stage", "state"} < used
    assert used - {"exc_info"} <= FIELDS


def test_a_foreign_exception_is_told_by_type_and_place(lines: Lines) -> None:
    try:
        int(SECRET)
    except ValueError:
        structlog.get_logger("omniguard").exception("broke")
        logging.getLogger("faust").exception("agent crashed")
    for line in lines():
        assert line["error_type"] == "ValueError"
        assert line["where"][0].startswith("test_logs.py:")
        assert SECRET not in json.dumps(line)
    assert len(lines()) == 2


def test_an_error_of_ours_is_told_in_full(lines: Lines) -> None:
    error = BadContent(Reason.DAMAGED, "found half a file, expected a whole one")
    structlog.get_logger("omniguard").error("broke", exc_info=error)
    (line,) = lines()
    assert line["error"] == "found half a file, expected a whole one"


def test_an_error_that_was_never_raised_comes_from_nowhere(lines: Lines) -> None:
    structlog.get_logger("omniguard").error("waiting", exc_info=BadContent(Reason.DAMAGED, "found half a file"))
    (line,) = lines()
    assert line["error_type"] == "BadContent"
    assert "where" not in line


def test_a_console_that_is_no_terminal_gets_no_colours(lines: Lines) -> None:
    stream = io.StringIO()
    configure_logging(json=False, stream=stream)
    structlog.get_logger("omniguard").error("broke", stage="judge")
    assert "broke" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_libraries_speak_from_warning_on(lines: Lines) -> None:
    configure_logging(level="DEBUG", stream=io.StringIO())
    assert not logging.getLogger("aiokafka.producer").isEnabledFor(logging.INFO)
    assert logging.getLogger("aiokafka.producer").isEnabledFor(logging.WARNING)
    assert logging.getLogger("omniguard.stages").isEnabledFor(logging.DEBUG)


def test_odd_trace_headers_are_not_quoted(lines: Lines) -> None:
    """A producer writes them: what stands in one may be anybody's words."""
    parent = b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"
    extract_context({"traceparent": parent, "tracestate": b"my secret words"})
    extract_context({"traceparent": b"my secret words" * 100})
    assert lines() == []


def test_the_level_holds(lines: Lines) -> None:
    structlog.get_logger("omniguard").debug("quiet")
    assert lines() == []


def test_a_console_line_is_text() -> None:
    stream = io.StringIO()
    configure_logging(json=False, stream=stream)
    structlog.get_logger("omniguard").info("hello", stage="judge", text=SECRET)
    assert "hello" in stream.getvalue()
    assert SECRET not in stream.getvalue()
    structlog.reset_defaults()
