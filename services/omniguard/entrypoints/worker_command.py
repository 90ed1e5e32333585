"""`omniguard worker`: one worker process."""

from __future__ import annotations

import sys
from typing import Annotated

import structlog
import typer
import uvloop

from omniguard.domain.lane import Lane
from omniguard.entrypoints.console import FAILED, errors_as_exit_codes
from omniguard.entrypoints.worker import run
from omniguard.errors import OmniGuardError
from omniguard.observability import configure_logging
from omniguard.settings import load_settings

worker_app = typer.Typer()
log = structlog.get_logger("omniguard.worker")


@worker_app.command()
def worker(
    lane: Annotated[Lane | None, typer.Option(help="Which lane to serve. [default: OMNIGUARD_WORKER__LANE]")] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="Where a consumer group begins that never committed: earliest, latest or an ISO time."),
    ] = None,
) -> None:
    """Consume a lane until SIGTERM or Ctrl-C. Settings come from the environment; see docs/settings.md.

    Exit status: 0 told to stop, 1 it failed and should be started again, 2 a setting or a file must be changed first.
    """
    with errors_as_exit_codes():
        settings = load_settings(worker={} if lane is None else {"lane": lane})
        try:
            uvloop.run(run(settings, start=start))
        except OmniGuardError:
            raise
        except Exception as error:  # the process's border: a traceback would show what users wrote
            configure_logging(level=settings.telemetry.log_level, json=settings.telemetry.json_logs)
            log.critical("the worker failed", exc_info=error, exit_code=FAILED)
            sys.exit(FAILED)
