"""A disk to fill: a tmpfs of a few megabytes where this user may mount, else a limit on the size of a worker's files."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path

from faults.worker import Worker

DISK_BYTES = 8 << 20
FILE_BYTES = 1 << 20
"""Where nothing can be mounted: no file of a full disk grows beyond it, and the worker's log stays below."""


class SmallDisk:
    """At `folder`. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._over: list[Path] = []
        folder.mkdir()
        self.mounted = _mount(folder, f"size={DISK_BYTES}")

    @property
    def means(self) -> str:
        return f"a tmpfs of {DISK_BYTES >> 20} MiB" if self.mounted else f"RLIMIT_FSIZE of {FILE_BYTES >> 20} MiB"

    def __enter__(self) -> SmallDisk:
        return self

    def __exit__(self, *_: object) -> None:
        self.make_writable()
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def fill(self, *workers: Worker) -> None:
        """No room is left for a file of the workers."""
        if not self.mounted:
            self._limit(workers, FILE_BYTES)
            return
        with (self.folder / "filler").open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                return

    def free(self, *workers: Worker) -> None:
        if self.mounted:
            (self.folder / "filler").unlink()
        else:
            self._limit(workers, resource.RLIM_INFINITY)

    def make_read_only(self) -> None:
        """What workers have open stays so; whatever they make from now on is refused."""
        for path in self.folder.glob("media/worker-*"):
            if not self.mounted:
                path.chmod(0o500)
            elif not _mount(path, "ro"):
                raise AssertionError(f"{path} cannot be mounted over")
            self._over.append(path)

    def make_writable(self) -> None:
        for path in self._over:
            if self.mounted:
                subprocess.run(["umount", "--lazy", str(path)], check=True)
            elif path.exists():
                path.chmod(0o700)
        self._over.clear()

    def files(self) -> list[Path]:
        """Media that lie there now."""
        return [path for path in self.folder.glob("media/*/**/*") if path.is_file() and path.name != "lock"]

    def _limit(self, workers: tuple[Worker, ...], size: int) -> None:
        for worker in workers:
            resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _mount(folder: Path, options: str) -> bool:
    if os.geteuid() != 0:
        return False
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True, check=False)
    return done.returncode == 0
