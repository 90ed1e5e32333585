"""The one cache folder outside the checkout: what is brought once and used by every checkout on this machine.

A folder in it becomes visible when it is complete; what was downloaded is checked against sums that this release was
tested with. Every server can be named by an environment variable instead (KAFKA_HOME, VALKEY_SERVER, TRITONSERVER).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from omniguard.devstack.errors import DevStackError, MissingPrerequisite

_COMPLETE = ".complete"


def cache_root() -> Path:
    """$OMNIGUARD_CACHE, or `omniguard` in the XDG cache folder."""
    if named := os.environ.get("OMNIGUARD_CACHE"):
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "omniguard"


def once(key: str, make: Callable[[Path], None], *, megabytes: int) -> Path:
    """The folder `key` of the cache, made by `make(empty folder)` if it is not there yet.

    One process makes it while the others wait; a `make` that fails leaves nothing behind. `megabytes` is the space it needs.
    Raises MissingPrerequisite when the disk has less, and whatever `make` raises.
    """
    root = cache_root()
    folder = root / key
    if (folder / _COMPLETE).exists():
        return folder
    _make_folder(root)
    with FileLock(root / f"{key}.lock"):
        if (folder / _COMPLETE).exists():
            return folder
        require_space(root, megabytes)
        with tempfile.TemporaryDirectory(dir=root, prefix=f"{key}.") as made:
            content = Path(made, "content")
            content.mkdir()
            make(content)
            (content / _COMPLETE).touch()
            shutil.rmtree(folder, ignore_errors=True)  # the rest of a copy that somebody deleted by half
            content.rename(folder)
    return folder


def is_made(key: str) -> bool:
    """True if `once` would make nothing."""
    return (cache_root() / key / _COMPLETE).exists()


def verify(folder: Path, sums: str) -> None:
    """Checks every file of a folder against lines of `sha256  name`; more or fewer files are an error as well.

    Raises DevStackError naming the first file that differs.
    """
    expected = {name: digest for digest, name in (line.split() for line in sums.splitlines())}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise DevStackError(
                f"{name} has sha256 {found.get(name, 'none: it is absent')}, expected {expected.get(name, 'no such file')}; "
                "the repository it came from does not serve what this release was tested with"
            )


def require_space(folder: Path, megabytes: int) -> None:
    """Raises MissingPrerequisite if the disk of an existing folder has fewer free megabytes."""
    free = shutil.disk_usage(folder).free // 1_000_000
    if free < megabytes:
        raise MissingPrerequisite(
            f"{folder} has {free} MB free, {megabytes} MB are needed",
            "free some space, or name another disk by OMNIGUARD_CACHE (downloads) or --state (running parts)",
        )


def last_lines(text: str, lines: int = 10) -> str:
    """The end of a tool's output."""
    return "\n".join(text.rstrip().splitlines()[-lines:])


def _make_folder(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DevStackError(f"cannot make the cache folder {root}: {error.strerror}; name another by OMNIGUARD_CACHE") from error
