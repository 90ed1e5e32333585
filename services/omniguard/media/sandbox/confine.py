"""Puts the parts of the sandbox together, and says which are in force."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from omniguard.media.limits import DecodeLimits
from omniguard.media.sandbox import landlock, seccomp
from omniguard.media.sandbox.kernel import PR_SET_NO_NEW_PRIVS, drop_capabilities, leave_networks, prctl

PARTS: Final = ("limits", "privileges", "namespaces", "landlock", "seccomp")
"""Every part that a platform may have: `limits` of resources; `privileges`: none can be gained and no capability is left;
`namespaces`: no network; `landlock`: nothing is read but media and libraries; `seccomp`: no call that decoding does not need."""
_MAX_FILES: Final = 64
_MAX_THREADS: Final = 512
_LIBRARIES: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
_DEVICES: Final = ("/dev/null", "/dev/urandom")


def confine(limits: DecodeLimits, media: Path) -> tuple[str, ...]:
    """Give up everything but reading below `media` and computing. Return the parts of `PARTS` that this platform could give.

    Raises:
        OSError: a limit of resources is refused.
        FileNotFoundError: `media` is not there.

    """
    in_force: list[str] = []
    readable = tuple(_readable(media))  # resolved while everything can still be looked at
    with _part("namespaces", in_force):
        leave_networks()
    _limit(limits, alone="namespaces" in in_force)
    in_force.append("limits")
    with _part("privileges", in_force):
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        drop_capabilities()
    with _part("landlock", in_force):
        landlock.restrict(readable)
    with _part("seccomp", in_force):
        seccomp.restrict()
    return tuple(part for part in PARTS if part in in_force)


@contextmanager
def _part(name: str, in_force: list[str]) -> Iterator[None]:
    """A part that the platform refuses is reported by its absence: the owner decides whether it goes without."""
    try:
        yield
    except OSError:
        return
    in_force.append(name)


def _readable(media: Path) -> Iterator[Path]:
    """The media, and what Python and the codecs may still load. Folders of libraries hold no secrets."""
    yield media.resolve(strict=True)
    for name in {*sys.path, *_LIBRARIES, *_DEVICES}:
        if name and os.path.exists(name):
            yield Path(name).resolve()


def _limit(limits: DecodeLimits, *, alone: bool) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, which then closes our input
    os.umask(0o777)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_FILES, _MAX_FILES))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    if alone:  # elsewhere it would count every process of this user, the worker's threads among them
        resource.setrlimit(resource.RLIMIT_NPROC, (_MAX_THREADS, _MAX_THREADS))
