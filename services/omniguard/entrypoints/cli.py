"""The `omniguard` command. Each group of commands is a file of its own."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Moderation over Kafka.")
