"""The genuine worker process of a load test: against Triton where one is named, else over the stand-in guard.

LOAD_CONTROL is a folder, LOAD_LABEL_MS the stand-in's time for a label; without the latter Triton is asked. Prints the port of
its metrics once it consumes.
"""

from __future__ import annotations

import os
from pathlib import Path

import uvloop

from loadtests.guard import PacedGuard
from omniguard.entrypoints.worker import run
from omniguard.settings import load_settings


async def main() -> None:
    """Until SIGTERM."""
    cost = os.environ.get("LOAD_LABEL_MS")
    guard = PacedGuard(float(cost), Path(os.environ["LOAD_CONTROL"])) if cost else None
    await run(load_settings(), start="earliest", ready=lambda port: print(port, flush=True), guard=guard)


if __name__ == "__main__":
    uvloop.run(main())
