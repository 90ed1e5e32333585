"""`python -m omniguard`: the same as the command `omniguard`."""

from omniguard.entrypoints.cli import app

app()
