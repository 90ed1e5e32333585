"""Workers whose wall clock can be put forward and back while they run; the monotonic one goes on, as it does on any machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from faults.nursery import ROOT, Nursery, Process
from omniguard.adapters.clock import SystemClock

OFFSET = "FAULTS_CLOCK_OFFSET"
"""Names the file with the seconds that a worker's clock port is ahead."""
_LIBRARIES = tuple(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
_WORKER = "import uvloop; from faults import run_worker; uvloop.run(run_worker.main())"


class TurnedClock(SystemClock):
    """The clock port that the service is built on."""

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=int(Path(os.environ[OFFSET]).read_text()))


class Clocked:
    """Starts workers, as `Nursery` does, and turns their wall clocks.

    With `whole` and Debian's libfaketime all of a process sees the jump, Faust and the Kafka client too; else the clock port.
    """

    def __init__(self, nursery: Nursery, folder: Path, *, whole: bool) -> None:
        self._nursery = nursery
        self._library = _LIBRARIES[0] if whole and _LIBRARIES else None
        self._file = folder / "offset"
        self.turn(0)

    @property
    def means(self) -> str:
        return "libfaketime" if self._library else "the clock port"

    def turn(self, seconds: int) -> None:
        """From now on the workers' wall clocks are so far ahead; negative: behind."""
        part = self._file.with_suffix(".part")
        part.write_text(f"{seconds:+d}\n")
        part.rename(self._file)

    def spawn(self, env: Mapping[str, str], log: Path) -> Process:
        if self._library is None:
            return self._nursery.spawn({**env, OFFSET: str(self._file)}, log)
        more = {
            "PYTHONPATH": f"{ROOT / 'services'}:{ROOT / 'tests'}",
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        with log.open("wb") as out:
            return _Own(subprocess.Popen([sys.executable, "-c", _WORKER], env={**env, **more}, stdout=out, stderr=out))


class _Own(Process):
    """Ours to reap."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(process.pid, Path())
        self._process = process

    @property
    def code(self) -> int | None:
        return self._process.poll()
