"""Counts that outlive kill -9 without Redis: one file a record, one byte a start."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from io import FileIO
from pathlib import Path

from omniguard.domain.cache_keys import digest
from omniguard.errors import Misconfigured


class AttemptFiles:
    """Counts starts of records in a folder that the processes of one machine or pod share.

    A start appends a byte, and the size is the count: appends of several processes never overwrite each other. What the page
    cache holds survives the process, so nothing is synced. A full disk still counts: a file grows by a hole then, which takes no
    room. A folder that can no longer be written at all loses counts, not events: each failure is one call of `on_error` with
    `state`.
    """

    def __init__(self, folder: Path, on_error: Callable[[str], None], ttl: float = 86_400) -> None:
        """Make the folder, and drop counts that nobody touched for `ttl` seconds.

        Raises:
            Misconfigured: the folder cannot be made or written.

        """
        self._folder = folder
        self._on_error = on_error
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._sweep(time.time() - ttl)
        except OSError as error:
            raise Misconfigured(f"cannot use {folder} as the state folder: {error.strerror}; give another one") from error
        if not os.access(folder, os.W_OK):
            raise Misconfigured(f"the state folder {folder} cannot be written; give another one")

    def add(self, record: str) -> int:
        """Count a start; return how many, this one included; 1 where it cannot be counted."""
        try:
            with self._path(record).open("ab", buffering=0) as file:
                _grow(file)
                return os.fstat(file.fileno()).st_size
        except OSError:
            self._on_error("state")
            return 1

    def count(self, record: str) -> int:
        """Starts counted here."""
        try:
            return self._path(record).stat().st_size
        except OSError:
            return 0

    def take_back(self, record: str) -> None:
        """Count one start less; an unknown record is fine."""
        path = self._path(record)
        try:
            left = path.stat().st_size - 1
            if left > 0:
                os.truncate(path, left)
            else:
                path.unlink()
        except FileNotFoundError:
            return
        except OSError:
            self._on_error("state")

    def drop(self, record: str) -> None:
        """Forget a record; an unknown one is fine."""
        try:
            self._path(record).unlink(missing_ok=True)
        except OSError:
            self._on_error("state")

    def _path(self, record: str) -> Path:
        return self._folder / f"{digest(record)[:32]}.attempts"

    def _sweep(self, before: float) -> None:
        for path in self._folder.glob("*.attempts"):
            try:
                if path.stat().st_mtime < before:
                    path.unlink()
            except FileNotFoundError:  # another process settled it meanwhile
                continue


def _grow(file: FileIO) -> None:
    """One byte more."""
    try:
        file.write(b".")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        os.truncate(file.fileno(), os.fstat(file.fileno()).st_size + 1)
