"""A folder of this process for fetched media, and the removal of what a killed one left behind."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omniguard.errors import Misconfigured

_LOCK = "lock"


@contextmanager
def media_folder(parent: Path) -> Iterator[Path]:
    """Give a fresh folder below `parent`, removed at the end; first remove folders whose process is gone.

    A process holds a lock on its folder, which the kernel lets go when it dies: pids are reused, in containers always.

    Raises:
        Misconfigured: `parent` cannot be written.

    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for folder in parent.glob("worker-*"):
            _remove_if_orphaned(folder)
        own = Path(tempfile.mkdtemp(prefix="worker-", dir=parent))
        lock = _locked(own)
    except OSError as error:
        raise Misconfigured(f"media folder {parent} cannot be written: {error.strerror}; mount or name another one") from error
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
        os.close(lock)


def free_bytes(parent: Path) -> int:
    """Room that is left for media; 0 where the folder cannot be written."""
    try:
        found = os.statvfs(parent)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize if os.access(parent, os.W_OK) else 0


def _locked(folder: Path) -> int:
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove_if_orphaned(folder: Path) -> None:
    if not (folder / _LOCK).exists():
        return  # its process is just making it
    try:
        lock = _locked(folder)
    except BlockingIOError:
        return  # its process lives
    except FileNotFoundError:
        return  # another process removes it
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)
