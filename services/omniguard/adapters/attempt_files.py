"""Counts that outlive kill -9 without Redis: one file a record, one byte a start."""

from __future__ import annotations

import os
import time
from pathlib import Path

from omniguard.domain.cache_keys import digest
from omniguard.errors import Misconfigured


class AttemptFiles:
    """Counts starts of records in a folder that the processes of one machine or pod share.

    A start appends a byte, and the size is the count: appends of several processes never overwrite each other. What the page
    cache holds survives the process, so nothing is synced. Both operations raise OSError where the folder cannot be written.
    """

    def __init__(self, folder: Path, ttl: float = 86_400) -> None:
        """Make the folder, and drop counts that nobody touched for `ttl` seconds.

        Raises:
            Misconfigured: the folder cannot be made or written.

        """
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._sweep(time.time() - ttl)
        except OSError as error:
            raise Misconfigured(f"cannot use {folder} as the state folder: {error.strerror}; give another one") from error
        if not os.access(folder, os.W_OK):
            raise Misconfigured(f"the state folder {folder} cannot be written; give another one")

    def add(self, record: str) -> int:
        """Count a start; return how many, this one included."""
        descriptor = os.open(self._path(record), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, b".")
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def drop(self, record: str) -> None:
        """Forget a record; an unknown one is fine."""
        self._path(record).unlink(missing_ok=True)

    def _path(self, record: str) -> Path:
        return self._folder / f"{digest(record)[:32]}.attempts"

    def _sweep(self, before: float) -> None:
        for path in self._folder.glob("*.attempts"):
            try:
                if path.stat().st_mtime < before:
                    path.unlink()
            except FileNotFoundError:  # another process settled it meanwhile
                continue
