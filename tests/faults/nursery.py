"""Worker processes that start at once: one process imports everything and forks each worker when it is asked to.

    python -m faults.nursery    reads one JSON line {env, log} a worker from stdin, answers with its pid on stdout

Every worker is a process of its own, as if started anew. At the end of stdin, hence also when the tests are killed, all end.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import uvloop

ROOT = Path(__file__).parents[2]
REAP_SECONDS = 0.05


class Process:
    """A worker process, seen from the tests."""

    def __init__(self, pid: int, codes: Path) -> None:
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)  # pids are reused; this is not
        self._code = codes / str(pid)

    @property
    def alive(self) -> bool:
        return not select.select([self._descriptor], [], [], 0)[0]

    @property
    def code(self) -> int | None:
        """The exit code, negative for a signal; None while it lives or was not reaped yet."""
        return int(self._code.read_text()) if self._code.exists() else None

    def signal(self, number: int) -> None:
        if self.alive:
            signal.pidfd_send_signal(self._descriptor, number)


class Nursery:
    """Start workers with `spawn`; `close` ends what is left of them."""

    def __init__(self, codes: Path) -> None:
        """`codes` is an empty folder for exit codes."""
        self._codes = codes
        self._process = subprocess.Popen(
            [sys.executable, "-m", "faults.nursery", str(codes)],
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'services'}:{ROOT / 'tests'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def spawn(self, env: Mapping[str, str], log: Path) -> Process:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"env": dict(env), "log": str(log)}).encode() + b"\n")
        self._process.stdin.flush()
        return Process(int(self._process.stdout.readline()), self._codes)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


def serve(codes: Path) -> None:
    """Fork a worker for every line."""
    from faults import run_worker

    children: set[int] = set()
    while True:
        readable, _, _ = select.select([sys.stdin.buffer.raw], [], [], REAP_SECONDS)  # type: ignore[attr-defined]
        _reap(children, codes)
        if not readable:
            continue
        line = sys.stdin.buffer.raw.readline()  # type: ignore[attr-defined]
        if not line:
            break
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(order["env"], order["log"], run_worker.main)
        children.add(pid)
        print(pid, flush=True)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _become(env: Mapping[str, str], log: str, main: object) -> None:
    """Never returns: the child is a worker from here on."""
    code = 1
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for descriptor in (1, 2):
            os.dup2(out, descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear()
        os.environ.update(env)
        uvloop.run(main())  # type: ignore[operator]
        threading._shutdown()  # type: ignore[attr-defined]  # as the interpreter's end does: a thread that hangs must show
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        raise
    finally:
        sys.stderr.flush()
        os._exit(code)


def _reap(children: set[int], codes: Path) -> None:
    for pid in tuple(children):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended == pid:
            children.discard(pid)
            part = codes / f"{pid}.part"
            part.write_text(str(os.waitstatus_to_exitcode(status)))
            part.rename(codes / str(pid))


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
