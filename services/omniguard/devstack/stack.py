"""The stack as one object: started, asked, hurt for fault tests, and ended without a trace."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from filelock import FileLock

from omniguard.devstack import process, state
from omniguard.devstack.cache import require_space
from omniguard.devstack.errors import DevStackError
from omniguard.devstack.external import External
from omniguard.devstack.kafka import Kafka
from omniguard.devstack.parts import Part, PartName
from omniguard.devstack.process import Launch
from omniguard.devstack.report import PartStatus, StackUrls
from omniguard.devstack.state import PartState
from omniguard.devstack.triton import Triton
from omniguard.devstack.valkey import Valkey

PARTS: tuple[PartName, ...] = ("kafka", "redis", "triton")
_GRACE = 10.0
_REAPER, _GUESTS = "reaper", "guests"
_FIRST_PORT, _LAST_PORT = 20_000, 32_000  # below the ports that the kernel gives to clients: none takes a stopped part's place


class Stack:
    """Kafka, Valkey and Triton under one folder; any of them may be somebody else's (`external`: part to address).

    With an `owner` (a pid) everything ends when that process does, even by kill -9; without one the parts stay until `down`.
    Several processes may use one folder at a time: each change is made under a lock. `report` is told what is being done.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        parts: Sequence[PartName] = PARTS,
        external: Mapping[PartName, str] | None = None,
        model_repository: Path = Path("model_repository"),
        python: Path = Path(sys.executable),
        triton_args: Sequence[str] = (),
        triton_env: Mapping[str, str] | None = None,
        owner: int | None = None,
        report: Callable[[str], None] | None = None,
    ) -> None:
        self.dir = state_dir.expanduser().absolute()
        self._file = self.dir / "state.json"
        self._external = dict(external or {})
        self._owner = owner
        self._report = report or (lambda _: None)
        triton = Triton(model_repository, python, args=tuple(triton_args), env=dict(triton_env or {}))
        every: dict[PartName, Part] = {"kafka": Kafka(), "redis": Valkey(), "triton": triton}
        self._every = every
        self._parts = {name: every[name] for name in PARTS if name in parts and name not in self._external}

    def up(self) -> StackUrls:
        """Starts what does not run yet and waits until all of it serves; what is healthy is left alone.

        Raises MissingPrerequisite before anything is started, PartFailed when a part does not come up.
        """
        for part in self._parts.values():
            self._report(f"{part.name}: checking prerequisites")
            part.fetch(self._report)
        with self._locked() as now:
            self._adopt_external(now)  # also writes the state file, before there is any process to end
            self._start_reaper()
            started = [part for part in reversed(self._parts.values()) if self._begin(part, now)]
            self._await(started, now)
            return self._urls(now)

    def down(self, *, grace: float = _GRACE, purge: bool = False) -> None:
        """Ends every process this stack started, whether recorded or not, and removes their shared memory.

        Data and logs stay for the next `up` unless they are purged.
        """
        if not self._file.exists():
            return  # not a folder of ours: nothing to end, and above all nothing to delete
        with self._locked() as now:
            self._report("stopping")
            # The reaper last: should we be killed meanwhile, it still finishes the work.
            process.end([self.guests], grace)
            self._end(PARTS, now, grace)
            for name, part in now.parts.items():
                now.parts[name] = replace(part, running=None)
            for each in self._every.values():
                each.clear(self.dir / each.name)
            state.save(self._file, now)
        if os.environ.get(process.MARK) != self._mark(_REAPER):
            process.end([self._mark(_REAPER)], 0.0)
        if purge:
            shutil.rmtree(self.dir)

    def status(self) -> list[PartStatus]:
        """Every part the stack has ever had, in a fixed order."""
        now = state.load(self._file)
        return [self._status(name, now.parts[name]) for name in PARTS if name in now.parts]

    def urls(self) -> StackUrls:
        """Addresses of the parts, running or not."""
        return self._urls(state.load(self._file))

    def start(self, name: PartName) -> None:
        """Starts a part that was stopped or killed, on the ports and the data it had, and waits until it serves."""
        with self._locked() as now:
            self._need(name, now)
            part = self._every[name]
            self._await([part] if self._begin(part, now, same_ports=True) else [], now)

    def stop(self, name: PartName, *, grace: float = _GRACE) -> None:
        """Ends a part in the orderly way: SIGTERM, and SIGKILL after `grace` seconds."""
        with self._locked() as now:
            had = self._need(name, now)
            self._end([name], now, grace)
            self._every[name].clear(self.dir / name)
            now.parts[name] = replace(had, running=None)
            state.save(self._file, now)

    def kill(self, name: PartName, signum: int = signal.SIGKILL) -> None:
        """Sends a signal to a part's main process and returns at once for SIGSTOP and the like, else when it has ended."""
        running = self._need(name, state.load(self._file)).running
        if running is None:
            raise DevStackError(f"{name} was stopped before; there is nothing to kill")
        process.send(running, signum)
        if signum in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            process.wait_gone(running, _GRACE)

    @property
    def guests(self) -> str:
        """Mark to give to `process.start` for processes that use the stack and must not outlive it: `down` ends them first."""
        return self._mark(_GUESTS)

    def _begin(self, part: Part, now: state.State, *, same_ports: bool = False) -> bool:
        """Starts a part unless it runs, serves and would be started by the same command. True if it was started."""
        home, had = self.dir / part.name, now.parts.get(part.name)
        if had and had.running and process.is_alive(had.running):
            launch = part.launch(home, had.ports)
            if launch.argv == had.argv and _serves(part, had.ports, had.running):
                return False
        self._end([part.name], now, _GRACE)  # a main process that hangs, or children that outlived it
        part.clear(home)
        ports = choose_ports(part, None if had is None or had.external else had.ports, same=same_ports)
        self._report(f"{part.name}: starting")
        launch = part.launch(home, ports)
        running = process.start(launch, self._mark(part.name))
        now.parts[part.name] = PartState(ports, launch.argv, str(launch.log), part.urls(ports), running)
        state.save(self._file, now)
        return True

    def _end(self, names: Sequence[PartName], now: state.State, grace: float) -> None:
        recorded = [had.running for name, had in now.parts.items() if name in names and had.running]
        process.end([self._mark(name) for name in names], grace, recorded)

    def _await(self, started: Sequence[Part], now: state.State) -> None:
        for part in started:
            self._report(f"{part.name}: waiting until it serves")
            had = now.parts[part.name]
            assert had.running is not None
            until = time.monotonic() + part.start_limit
            serves = partial(_serves, part, had.ports, had.running)
            process.wait_ready(part.name, had.running, serves, Path(had.log), until)

    def _adopt_external(self, now: state.State) -> None:
        for name, address in self._external.items():
            other = External(name, address)
            other.check()
            self._end([name], now, _GRACE)  # ours, from an earlier `up`
            now.parts[name] = PartState({}, (), "", other.urls(), None, external=True)
        state.save(self._file, now)

    def _start_reaper(self) -> None:
        argv = (sys.executable, "-m", "omniguard.devstack.reaper", str(self._owner), str(self.dir))
        if any(tuple(reaper.cmdline()) == argv for reaper in process.marked(self._mark(_REAPER))):
            return
        process.end([self._mark(_REAPER)], 0.0)  # of an earlier owner
        if self._owner is None:
            return
        source = str(Path(__file__).parents[2])
        process.start(Launch(argv, self.dir / "reaper.log", {"PYTHONPATH": source}), self._mark(_REAPER))

    def _status(self, name: PartName, had: PartState) -> PartStatus:
        now, why = self._look(name, had)
        return PartStatus(name, now, had.running.pid if had.running else None, had.urls, had.log, why)

    def _look(self, name: PartName, had: PartState) -> tuple[str, str]:
        """State and detail of a part."""
        if had.external:
            return (
                ("external", "") if External(name, had.urls[name]).answers() else ("not_ready", "nobody answers at this address")
            )
        if had.running is None:
            return "stopped", ""
        last = process.tail(Path(had.log))
        if not process.is_alive(had.running):
            return "dead", f"{process.describe_exit(had.running)}\n{last}"
        if not _serves(self._every[name], had.ports, had.running):
            return "not_ready", f"it runs but does not serve\n{last}"
        return "running", ""

    def _need(self, name: PartName, now: state.State) -> PartState:
        if name not in now.parts or now.parts[name].external:
            raise DevStackError(f"{name} is not a part that this stack started ({self.dir})")
        return now.parts[name]

    def _mark(self, name: str) -> str:
        return f"{self.dir}#{name}"

    def _urls(self, now: state.State) -> StackUrls:
        return StackUrls({name: url for part in now.parts.values() for name, url in part.urls.items()})

    @contextlib.contextmanager
    def _locked(self) -> Iterator[state.State]:
        try:
            self.dir.mkdir(parents=True, exist_ok=True)
            require_space(self.dir, 100)
            with FileLock(self.dir / "lock"):
                yield state.load(self._file)
        except OSError as error:  # permission denied, disk full: the folder is what a person can change
            raise DevStackError(f"{error.filename or self.dir}: {error.strerror}; name another folder by --state") from error


def _serves(part: Part, ports: Mapping[str, int], running: process.Running) -> bool:
    return part.ready(ports) and process.children(running) >= part.children


def choose_ports(part: Part, had: Mapping[str, int] | None, *, same: bool) -> dict[str, int]:
    """The ports a part had if they are free; else new ones, unless clients rely on the `same`."""
    if had and all(process.port_is_free(port) for port in had.values()):
        return dict(had)
    if had and same:
        taken = [port for port in had.values() if not process.port_is_free(port)]
        raise DevStackError(
            f"{part.name} cannot start again: another process listens on {taken}; end it (ss -ltnp), or use another --state"
        )
    choice = random.SystemRandom()
    ports: dict[str, int] = {}
    while len(ports) < len(part.port_names):
        port = choice.randrange(_FIRST_PORT, _LAST_PORT)
        if port not in ports.values() and process.port_is_free(port):
            ports[part.port_names[len(ports)]] = port
    return ports
