"""`omniguard settings`: what a worker started in this environment would run with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from omniguard.entrypoints.console import Json, errors_as_exit_codes, print_json, untrusted
from omniguard.settings import PREFIX, load_settings

settings_app = typer.Typer()


@settings_app.command()
def settings(
    changed: Annotated[bool, typer.Option("--changed", help="Show only what differs from the defaults.")] = False,
    as_json: Json = False,
) -> None:
    """Show every setting as the environment gives it; secrets are masked. Exit status: 0 shown, 2 a setting is wrong."""
    with errors_as_exit_codes():
        found = load_settings()
    shown = found.model_dump(mode="json", exclude_unset=changed)
    if as_json:
        print_json(shown)
        return
    if not shown:
        Console().print("every setting has its default")
        return
    table = Table("variable", "value")
    for name, value in _leaves(shown, PREFIX):
        table.add_row(untrusted(name), untrusted(value))
    Console().print(table)


def _leaves(tree: dict[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}", ",".join(value) if isinstance(value, list) else "" if value is None else str(value)
