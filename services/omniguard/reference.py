"""Pages of docs/ that are generated from the code: `python -m omniguard.reference [--check] docs`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from omniguard.entrypoints.capacity_page import capacity_page
from omniguard.entrypoints.cli_page import cli_page
from omniguard.observability import COUNTERS, FIELDS, GAUGES, HISTOGRAMS, SPANS, MetricSpec, SpanAttributes
from omniguard.settings import PREFIX, Group, Settings

__all__ = ["PAGES", "main", "metrics_page", "settings_page", "stale", "write"]


def settings_page() -> str:
    """docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Generated from `omniguard/settings.py` by `python -m omniguard.reference docs`. Every setting is an environment",
        "variable; an unknown one stops the start. Secrets are never shown, and `…_FILE` reads one from a mounted file.",
    ]
    for name, group in Settings.model_fields.items():
        model, prefix = _group(name, group.annotation)
        lines += ["", f"## {name}", "", (model.__doc__ or "").partition("\n")[0], ""]
        lines += ["| Variable | Values | Default | Meaning |", "|---|---|---|---|"]
        lines += [_setting(f"{prefix}{field.upper()}", info) for field, info in model.model_fields.items()]
    return "\n".join(lines) + "\n"


def _group(name: str, annotation: Any) -> tuple[type[Group], str]:
    """The model of a group and the start of its variables; a group by name has the name in between."""
    prefix = f"{PREFIX}{name.upper()}__"
    if get_origin(annotation) is dict:
        return get_args(annotation)[1], f"{prefix}<NAME>__"
    return annotation, prefix


def _setting(variable: str, info: FieldInfo) -> str:
    return f"| `{variable}` | {_values(info.annotation)} | {_default(info)} | {info.description} |"


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    default = info.get_default(call_default_factory=True, validated_data={})
    if default is None:
        return "unset"
    if isinstance(default, tuple | dict):
        default = ",".join(default)
    shown = str(default).lower() if isinstance(default, bool) else str(default)
    return f"`{shown}`" if shown else "empty"


def _values(annotation: Any) -> str:
    arguments = [a for a in get_args(annotation) if a is not type(None)]
    if arguments and all(isinstance(a, str) for a in arguments):
        return ", ".join(f"`{a}`" for a in arguments)
    if get_origin(annotation) in (tuple, dict):
        return {tuple: "list, by commas", dict: "JSON object"}[get_origin(annotation)]
    plain = arguments[0] if arguments else annotation
    if issubclass(plain, Enum):
        return ", ".join(f"`{member.value}`" for member in plain)
    return {str: "text", int: "whole number", float: "number", bool: "`true`, `false`", Path: "path", SecretStr: "secret"}[plain]


def metrics_page() -> str:
    """docs/metrics.md."""
    lines = [
        "# Metrics, spans and log fields",
        "",
        "Generated from `omniguard/observability` by `python -m omniguard.reference docs`. Labels take values from the",
        "closed sets below: none holds a tenant, a content id or anything a user wrote.",
    ]
    for title, specs in (("Counters", COUNTERS), ("Gauges", GAUGES), ("Histograms", HISTOGRAMS)):
        lines += ["", f"## {title}", "", "| Metric | Labels | Meaning |", "|---|---|---|", *_metrics(specs)]
    lines += ["", "## Spans", "", f"{_code(SPANS)}.", ""]
    lines += [f"Attributes: {_code(sorted(SpanAttributes.__annotations__))}, and `error.type` on failure.", ""]
    lines += [
        "## Log fields",
        "",
        f"{_code(sorted(FIELDS))}. A field of any other name is dropped, and its name listed in `dropped_fields`.",
    ]
    return "\n".join(lines) + "\n"


def _metrics(specs: Mapping[Any, MetricSpec]) -> list[str]:
    rows = []
    for name, spec in specs.items():
        labels = "; ".join(f"`{label}`: {', '.join(values)}" for label, values in spec.labels.items())
        rows.append(f"| `{name}` | {labels} | {spec.help} |")
    return rows


def _code(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)


PAGES = {"settings.md": settings_page, "metrics.md": metrics_page, "cli.md": cli_page, "capacity.html": capacity_page}


def stale(folder: Path) -> list[str]:
    """Names of pages below `folder` that are missing or not what the code says."""
    return [name for name, page in PAGES.items() if not _same(folder / name, page())]


def _same(path: Path, content: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == content


def write(folder: Path) -> None:
    """Write every page below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Write the pages below a folder; with `--check` say which are stale. Returns the exit status: 1 if one is."""
    folder = Path(arguments[-1])
    if "--check" not in arguments:
        write(folder)
        return 0
    old = stale(folder)
    for name in old:
        print(f"{folder / name}: differs from the code; run `python -m omniguard.reference {folder}`", file=sys.stderr)
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
