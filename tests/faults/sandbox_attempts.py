"""What code in a decoder would try after a file took it over, each tried for real in a process that has confined itself.

    python -m faults.sandbox_attempts MODE    prints the parts in force and {name: outcome} as JSON

MODE is `root`; `nobody`, as a container without any privilege runs; `bare`, where also user namespaces and Landlock are refused;
or `none`, without a sandbox. An outcome is `done`, `refused: TYPE`, or the name of the signal that ended the process.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401  names are looked up with it, and a confined nobody may not load it here
import fcntl
import json
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from omniguard.media.limits import DecodeLimits
from omniguard.media.sandbox import PARTS, confine, landlock
from omniguard.media.sandbox.kernel import syscall

_NOBODY = 65_534
LIMITS = DecodeLimits(memory_bytes=1 << 30)
OWNER = os.getpid()
"""Of the attempts: the process that stands for the worker."""


def _read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def _write(path: Path) -> None:
    with path.open("w") as file:
        file.write("x")


def _many_threads() -> None:
    held = threading.Event()
    for _ in range(5_000):
        threading.Thread(target=held.wait, daemon=True).start()


def _loosen_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _terminal_input() -> None:
    fcntl.ioctl(0, 0x5412, b"x")  # TIOCSTI


FATAL: dict[str, Callable[[Path], object]] = {
    "tcp": lambda _: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "udp": lambda _: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
    "unix-socket": lambda _: socket.socket(socket.AF_UNIX),
    "netlink": lambda _: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "socket-pair": lambda _: socket.socketpair(),
    "resolve": lambda _: socket.getaddrinfo("media.example", 80),
    "exec": lambda _: os.execv("/bin/true", ["true"]),
    "spawn": lambda _: os.posix_spawn("/bin/true", ["true"], {}),
    "fork": lambda _: os.fork() or os._exit(0),
    "kill-owner": lambda _: os.kill(OWNER, signal.SIGKILL),
    "signal-a-thread-of-owner": lambda _: syscall(234, OWNER, OWNER, signal.SIGKILL),
    "ptrace-owner": lambda _: syscall(101, 16, OWNER, 0, 0),
    "read-memory-of-owner": lambda _: syscall(310, OWNER, 0, 0, 0, 0, 0),
    "take-a-descriptor-of-owner": lambda _: os.pidfd_open(OWNER),
    "mount": lambda _: syscall(165, None, None, None, 0, None),
    "chroot": lambda _: os.chroot("/"),
    "namespace": lambda _: syscall(272, 0x1000_0000),
    "bpf": lambda _: syscall(321, 0, None, 0),
    "keyring": lambda _: syscall(250, 0, -3, 0),
    "io_uring": lambda _: syscall(425, 1, None),
    "perf": lambda _: syscall(298, None, 0, 0, 0, 0),
    "userfaultfd": lambda _: syscall(323, 0),
    "handle": lambda _: syscall(304, -100, None, 0),
    "x32": lambda _: syscall(0x4000_0000 + 39),
}
"""Each ends the process."""
REFUSED: dict[str, Callable[[Path], object]] = {
    "passwd": lambda _: _read("/etc/passwd"),
    "environment-of-owner": lambda _: _read(f"/proc/{OWNER}/environ"),
    "memory-of-owner": lambda _: _read(f"/proc/{OWNER}/mem"),
    "own-environment": lambda _: _read("/proc/self/environ"),
    "service-account": lambda folder: _read(str(folder / "token")),
    "list-root": lambda _: os.listdir("/"),
    "write-outside": lambda folder: _write(folder / "outside"),
    "write-media": lambda folder: _write(folder / "media/new"),
    "overwrite-media": lambda folder: (folder / "media/film").open("r+b").close(),
    "remove-media": lambda folder: os.unlink(folder / "media/film"),
    "rename-media": lambda folder: os.rename(folder / "media/film", folder / "media/other"),
    "truncate-media": lambda folder: os.truncate(folder / "media/film", 0),
    "link": lambda folder: os.symlink("/etc/passwd", folder / "media/link"),
    "hard-link": lambda folder: os.link(folder / "token", folder / "media/token"),
    "make-folder": lambda folder: os.mkdir(folder / "media/deep"),
    "change-mode": lambda folder: os.chmod(folder / "media/film", 0o777),
    "memory-file": lambda _: os.memfd_create("x"),
    "become-root": lambda _: os.setresuid(0, 0, 0),
    "more-memory": lambda _: _loosen_memory(),
    "allocate": lambda _: bytearray(2 << 30),
    "threads": lambda _: _many_threads(),
    "type-into-a-terminal": lambda _: _terminal_input(),
    "files": lambda folder: [os.open(folder / "media/film", os.O_RDONLY) for _ in range(500)],
    "limits-of-owner": lambda _: resource.prlimit(OWNER, resource.RLIMIT_CPU, (1, 1)),
    "new-session": lambda _: os.setsid(),
    "pipe": lambda _: os.pipe(),
}
"""Each fails, and the process goes on."""
BARE = frozenset({"passwd", "environment-of-owner", "memory-of-owner", "own-environment", "service-account", "list-root"})
"""What a system without Landlock and user namespaces leaves open: reading what the worker may read."""
HARMLESS = (
    "tcp",
    "socket-pair",
    "spawn",
    "passwd",
    "environment-of-owner",
    "service-account",
    "write-media",
    "memory-file",
    "pipe",
)
"""Tried without a sandbox too: there each must come through, else the attempt proves nothing."""


def outcome(attempt: Callable[[Path], object], folder: Path, mode: str) -> str:
    """Confine a child, try, and tell."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _try(attempt, folder, mode, writing)
    os.close(writing)
    with os.fdopen(reading) as told:
        said = told.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return signal.Signals(-code).name if code < 0 else said


def _try(attempt: Callable[[Path], object], folder: Path, mode: str, writing: int) -> None:
    said = b"broken"
    try:
        if mode != "none":
            confine(LIMITS, folder / "media")
        attempt(folder)
        said = b"done"
    except (OSError, MemoryError, RuntimeError, ValueError) as error:
        said = f"refused: {type(error).__name__}".encode()
    finally:
        os.write(writing, said)
        os._exit(0)


def main(mode: str) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        (folder / "media").mkdir()
        (folder / "media/film").write_text("film")
        (folder / "token").write_text("token")
        if mode in ("nobody", "bare"):
            _become_nobody(folder)
        if mode == "bare":
            _take_away()
        every = {**FATAL, **REFUSED}
        names = HARMLESS if mode == "none" else every
        parts = [] if mode == "none" else [part for part in PARTS if _has(part, folder)]
        print(json.dumps([parts, {name: outcome(every[name], folder, mode) for name in names}]))
    finally:
        shutil.rmtree(folder)


def _has(part: str, folder: Path) -> bool:
    def ask(_: Path) -> None:
        if part not in confine(LIMITS, folder / "media"):
            raise PermissionError

    return outcome(ask, folder, "none") == "done"


def _become_nobody(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, _NOBODY, _NOBODY)
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def _take_away() -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    confine.__globals__["leave_networks"] = refuse
    landlock.restrict = refuse


if __name__ == "__main__":
    main(sys.argv[1])
