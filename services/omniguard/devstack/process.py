"""Child processes that outlive a command but never their owner: started, watched and ended by a mark they inherit.

Every process of a part, Triton's stubs included, carries the part's mark in its environment. So what belongs to a stack is
found without trusting a number that the system may have given to somebody else since, and without a record that a
kill -9 may have cut short.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from omniguard.devstack.errors import DevStackError, PartFailed

MARK = "OMNIGUARD_DEVSTACK"
"""Environment variable that says which stack and part a process belongs to."""

_POLL_SECONDS = 0.05
_CLOCK_STEP = 3.0  # creation times are derived from the wall clock, which may be set meanwhile: seconds tolerated
_TAIL_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Launch:
    """A command line, what its environment has beyond ours, and the file its output is appended to."""

    argv: tuple[str, ...]
    log: Path
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Running:
    """A process that cannot be mistaken for a later one of the same number: pid and its creation time (epoch seconds)."""

    pid: int
    created: float


_children: dict[Running, subprocess.Popen[bytes]] = {}  # kept for their exit codes


def start(launch: Launch, mark: str) -> Running:
    """Starts the command in a session of its own, so that Ctrl-C in the terminal reaches the supervisor alone.

    Raises DevStackError when the command cannot be executed or its log cannot be written.
    """
    env = {**os.environ, **launch.env, MARK: mark}
    try:
        with launch.log.open("ab") as out:
            child = subprocess.Popen(  # noqa: S603 - the command is ours
                launch.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, start_new_session=True
            )
    except OSError as error:
        raise DevStackError(f"cannot start {launch.argv[0]}: {error.strerror} ({error.filename})") from error
    running = Running(child.pid, psutil.Process(child.pid).create_time())  # at least a zombie: we have not reaped it
    _children[running] = child
    return running


def is_alive(running: Running) -> bool:
    """True while the very process runs. A zombie counts as dead, unless threads of it are still ending and hold its ports."""
    child = _children.get(running)
    if child is not None:
        return child.poll() is None  # ours: the number cannot be another's before we have reaped it
    try:
        process = psutil.Process(running.pid)
        same = abs(process.create_time() - running.created) < _CLOCK_STEP
        return same and (process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1)
    except psutil.NoSuchProcess:
        return False


def exit_code(running: Running) -> int | None:
    """Exit code of a process this process started (negative: the signal that ended it), or None where it cannot be known."""
    child = _children.get(running)
    return child.poll() if child is not None else None


def children(running: Running) -> int:
    """How many living children the process has."""
    try:
        below = psutil.Process(running.pid).children()
    except psutil.NoSuchProcess:
        return 0
    return sum(is_alive(Running(child.pid, child.create_time())) for child in below)


def send(running: Running, signum: int) -> None:
    """Sends a signal to the very process; nothing happens if it has gone."""
    if is_alive(running):
        os.kill(running.pid, signum)


def marked(mark: str) -> Iterator[psutil.Process]:
    """The living processes that carry this mark, children of a part included."""
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # gone meanwhile, or another user's: not ours


def end(marks: Sequence[str], grace: float, recorded: Sequence[Running] = ()) -> None:
    """Ends every process that is recorded or carries one of the marks: SIGTERM, and SIGKILL after `grace` seconds.

    Raises DevStackError if something survives SIGKILL.
    """
    asked = _find(marks, recorded)
    _signal(asked, signal.SIGTERM)
    _gone(asked, grace)
    _signal(left := _find(marks, recorded), signal.SIGKILL)
    if stuck := _gone(left, 10.0):
        raise DevStackError(f"processes {[process.pid for process in stuck]} survived SIGKILL; they hang in the kernel")


def _find(marks: Sequence[str], recorded: Sequence[Running]) -> list[psutil.Process]:
    """The living processes, each once. The record counts as well: a server may write its title over its environment."""
    found = {process.pid: process for mark in marks for process in marked(mark)}
    for running in recorded:
        if running.pid not in found and is_alive(running):
            found[running.pid] = psutil.Process(running.pid)
    return list(found.values())


def _signal(processes: Sequence[psutil.Process], signum: int) -> None:
    for process in processes:
        try:
            process.send_signal(signum)  # psutil compares the creation time first
        except psutil.NoSuchProcess:
            continue


def _gone(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Waits until all have ended; those still there after `seconds`."""
    until = time.monotonic() + seconds
    while left := [process for process in processes if is_alive(Running(process.pid, process.create_time()))]:
        if time.monotonic() > until:
            return left
        time.sleep(_POLL_SECONDS)
    return []


def wait_gone(running: Running, seconds: float) -> None:
    """Waits until the very process has ended. Raises DevStackError if it has not after `seconds`."""
    until = time.monotonic() + seconds
    while is_alive(running):
        if time.monotonic() > until:
            raise DevStackError(f"process {running.pid} still runs {seconds:g} s after the signal")
        time.sleep(_POLL_SECONDS)


def wait_ready(part: str, running: Running, ready: Callable[[], bool], log: Path, until: float) -> None:
    """Polls `ready` until it is true. `until` is on the monotonic clock, in seconds.

    Raises PartFailed when the process ends first or the time runs out.
    """
    while not ready():
        if not is_alive(running):
            raise PartFailed(part, f"ended while starting ({describe_exit(running)})", log, tail(log))
        if time.monotonic() > until:
            raise PartFailed(part, "runs but was not ready in time", log, tail(log))
        time.sleep(_POLL_SECONDS)


def describe_exit(running: Running) -> str:
    """How a process ended, in words."""
    code = exit_code(running)
    if code is None:
        return "exit code unknown"
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log; empty if there is none."""
    if not log.exists():
        return ""
    with log.open("rb") as source:
        source.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        text = source.read().decode("utf-8", "replace")
    return "\n".join(text.rstrip().splitlines()[-lines:])


def port_is_free(port: int) -> bool:
    """True if a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
