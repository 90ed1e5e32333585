"""What commands share: the option --json, untrusted text made fit for a terminal, JSON on standard output, errors as exit codes.

Exit codes that every command has: 0 done, 1 it failed, 2 the call, a setting or a file is wrong.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import orjson
import typer
from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from omniguard.errors import Misconfigured, OmniGuardError

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]

FAILED = 1
WRONG_CALL = 2

_JOINERS = frozenset("\u200c\u200d")  # format characters that scripts and emoji are written with
_SPACES = frozenset("\t\u2028\u2029")


def plain(text: str, *, lines: bool = True) -> str:
    """Untrusted text without what a terminal would obey: no control characters, no reordering, nothing invisible.

    With `lines`, line feeds stay; else they become spaces.
    """
    kept = []
    for char in text:
        if char == "\n" and lines:
            kept.append(char)
        elif char == "\n" or char in _SPACES:
            kept.append(" ")
        elif char in _JOINERS or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn"):
            kept.append(char)
    return "".join(kept)


def untrusted(text: str, style: str = "", *, lines: bool = True) -> Text:
    """Untrusted text for rich: nothing in it is markup."""
    return Text(plain(text, lines=lines), style=style)


def table(*columns: Column | str, **options: Any) -> Table:
    """A table for any terminal: no heading is cut within a word, and what a cell has no room for goes on in its next line."""
    made = [column if isinstance(column, Column) else Column(column) for column in columns]
    for column in made:
        column.overflow = "fold"
        column.min_width = max((len(word) for word in str(column.header).split()), default=None)
    return Table(*made, **{"box": box.SIMPLE_HEAD, "show_edge": False, "padding": (0, 1, 0, 0), "pad_edge": False, **options})


def print_json(value: object, *, indent: bool = True) -> None:
    """JSON on standard output: indented for one document, else a line of a stream. JSON's own escapes make it safe to show."""
    option = orjson.OPT_INDENT_2 if indent else 0
    text = orjson.dumps(value, option=option).decode()
    typer.echo("".join(char if char in "\n" or plain(char) else _escape(char) for char in text))
    sys.stdout.flush()


def _escape(char: str) -> str:
    """A character that a terminal would obey, as JSON writes it in ASCII."""
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def fail(message: str, code: int) -> typer.Exit:
    """Say what is wrong on standard error; raise what is returned."""
    Console(stderr=True).print(untrusted(message, "red"), soft_wrap=True)
    return typer.Exit(code)


@contextmanager
def errors_as_exit_codes() -> Iterator[None]:
    """Misconfigured is exit 2; every other error of ours is exit 1. Anything else is a bug and keeps its traceback."""
    try:
        yield
    except Misconfigured as error:
        raise fail(str(error), WRONG_CALL) from error
    except OmniGuardError as error:
        raise fail(str(error), FAILED) from error
