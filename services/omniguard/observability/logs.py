"""Structured logs that cannot carry user content.

An event is a constant phrase plus fields; a field that is not in `FIELDS` is dropped and its name listed. Of an exception
only the type, the place and, where it is ours, the message are written: a foreign message may quote its input.
"""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Final, TextIO

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

from omniguard.errors import OmniGuardError

FIELDS: Final = frozenset(
    {
        # what structlog and this module write
        "event", "level", "logger", "timestamp", "error", "error_type", "where", "dropped_fields", "trace_id", "span_id",
        # what ours say
        "topic", "partition", "group", "lane", "stage", "address", "count", "limit_seconds", "exit_code",
        "state", "seconds", "in_force", "missing", "deaths", "alone",
        "calibration", "made_for", "model_digest",
    }
)  # fmt: skip
"""Every field a log line may have. None of them names a tenant or a content."""


def only_known_fields(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Drop every field that is not in `FIELDS`, and say which (their names are ours; their values may not be)."""
    unknown = [name for name in event if name not in FIELDS and not name.startswith("_")]
    for name in unknown:
        del event[name]
    if unknown:
        event["dropped_fields"] = sorted(unknown)
    return event


def trace_ids(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Name the span in force, so that a line is found from its trace and the other way round."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"], event["span_id"] = trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)
    return event


def safe_exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace `exc_info` by `error_type`, `where` and, for our own errors, `error`."""
    found = event.pop("exc_info", None)
    if isinstance(found, tuple):
        found = found[1]
    elif found is True:
        found = sys.exc_info()[1]
    if isinstance(found, BaseException):
        event["error_type"] = type(found).__name__
        frames = traceback.extract_tb(found.__traceback__)[-8:]
        if frames:
            event["where"] = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
        if isinstance(found, OmniGuardError):
            event["error"] = str(found)
    return event


_SHARED: Final[tuple[Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    trace_ids,
    safe_exception,
    only_known_fields,
)


def configure_logging(*, level: str = "INFO", json: bool = True, stream: TextIO | None = None) -> None:
    """Send our logs, and warnings of the libraries, to `stream` (stderr) as JSON lines or for a console, in colour on a terminal.

    Libraries are held at WARNING whatever `level` says: at DEBUG the Kafka client logs keys and values.
    """
    stream = stream or sys.stderr
    renderer: Processor
    renderer = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("omniguard").setLevel(level)
    logging.getLogger("opentelemetry.trace").setLevel(logging.ERROR)  # it warns of odd trace headers by quoting them
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
