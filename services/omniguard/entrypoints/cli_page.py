"""docs/cli.md, generated from the commands themselves."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from omniguard.entrypoints.cli import COMMANDS, load

_KINDS = {str: "text", int: "whole number", float: "number", Path: "path"}


def cli_page() -> str:
    """The page."""
    lines = [
        "# Commands",
        "",
        "Generated from the commands by `python -m omniguard.reference docs`. Exit status of every command: 0 done, 1 it failed,",
        "2 the call, a setting or a file is wrong; a command that says more says so below. `--json` prints for programs.",
    ]
    for command in commands():
        lines += ["", *_section(*command)]
    return "\n".join(lines) + "\n"


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name, in the order of the help."""
    for name in COMMANDS:
        found = load(name)
        below = getattr(found, "commands", None)
        if below is None:
            yield f"omniguard {name}", found
        else:
            yield from ((f"omniguard {name} {leaf}", command) for leaf, command in below.items())


def _section(name: str, command: Any) -> Iterator[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    yield f"## {name}"
    yield ""
    yield f"`{' '.join([name, *(_metavar(p) for p in arguments), *(['[OPTIONS]'] if options else [])])}`"
    yield ""
    yield _flowing(command.help or "")
    if arguments or options:
        yield from ("", "| Argument or option | Values | Default | Meaning |", "|---|---|---|---|")
        yield from (_row(p) for p in (*arguments, *options))


def _row(param: Any) -> str:
    names = ", ".join(f"`{o}`" for o in (*param.opts, *param.secondary_opts))
    shown = f"`{_metavar(param)}`" if param.param_type_name == "argument" else names
    meaning, stated = _stated_default(param.help or "")
    cells = (shown, _values(param), stated or _default(param), meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _metavar(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _stated_default(text: str) -> tuple[str, str]:
    """A help text, and the default that it states in brackets where it depends on more than the option."""
    found = re.fullmatch(r"(.*?)\s*\[default: (.*)\]", text, re.DOTALL)
    return (found[1], found[2]) if found else (text, "")


def _default(param: Any) -> str:
    default = param.default
    if param.required:
        return "required"
    if default is None or isinstance(default, bool) or (isinstance(default, Path) and default.is_absolute()):
        return ""
    return f"`{default.value if isinstance(default, Enum) else default}`"


def _values(param: Any) -> str:
    if param.is_flag if hasattr(param, "is_flag") else False:
        return ""
    kind = _plain(param.type_descriptor.annotation)
    if get_origin(kind) is list:
        return f"{_name(get_args(kind)[0])}, several"
    return _name(kind)


def _plain(annotation: Any) -> Any:
    """Without `| None`."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(a for a in get_args(annotation) if a is not type(None))
    return annotation


def _name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{member.value}`" for member in kind)
    return _KINDS[kind]


def _flowing(text: str) -> str:
    """Paragraphs, each on one line."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))
