"""The folder that a model is put into: built beside it, then put in place by one rename, with a stamp that says what it is."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omniguard.adapters.model_files.archive import is_archive, unpack
from omniguard.adapters.model_files.download import PAUSES, download
from omniguard.adapters.model_files.manifest import read_list
from omniguard.adapters.model_files.outcomes import Progress, disk_error
from omniguard.adapters.model_files.sources import ModelSource
from omniguard.errors import Misconfigured

__all__ = ["STAMP", "Fetched", "ModelFolder"]

STAMP = ".omniguard-model"
"""The stamp's name; without an ending, so that no digest of a checkpoint covers it."""
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Fetched:
    """What lies in the folder. `already` is True where it lay there before."""

    already: bool
    files: int
    size: int


class ModelFolder:
    """One model at one path. Several processes may want it at once: one fetches, the others wait for it."""

    def __init__(self, path: Path, *, limit: int, progress: Progress, pauses: tuple[float, ...] = PAUSES) -> None:
        """`limit` is of bytes, for what is downloaded and what is unpacked each.

        Raises:
            Misconfigured: the path is where a volume is mounted, which no rename can replace.

        """
        self._path, self._limit, self._progress, self._pauses = path.absolute(), limit, progress, pauses
        if os.path.ismount(self._path):
            raise Misconfigured(f"{path}: found the place of a mounted volume, expected a folder in it, such as {path}/model")
        self._work = self._path.with_name(f".{self._path.name}.fetching")

    async def ensure(self, source: ModelSource, sha256: str, *, replace: bool = False) -> Fetched:
        """See that the folder holds the model with this digest (of the archive, or of the list).

        Raises:
            Misconfigured: something else is there; the source is wrong; it has another digest; the archive is hostile.
            ModelNotFetched: the source is away, or the volume is full.

        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Misconfigured(f"{self._path.parent}: cannot be made ({error.strerror}); expected a writable volume") from error
        async with self._alone():
            if (stamp := self._stamp()) and stamp["sha256"] == sha256 and self._whole(stamp):
                shutil.rmtree(self._work, ignore_errors=True)  # of a run that ended just behind its last step
                return Fetched(True, len(stamp["files"]), sum(stamp["files"].values()))
            self._check_place(stamp, sha256, replace)
            sizes = await self._build(source, sha256)
            self._put_in_place(source, sha256, sizes)
        return Fetched(False, len(sizes), sum(sizes.values()))

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Hold the lock beside the folder, also against other pods that share the volume."""
        path = self._path.with_name(f".{self._path.name}.lock")
        try:
            file = path.open("ab")
        except OSError as error:
            raise Misconfigured(f"{path}: cannot be written ({error.strerror}); expected a writable volume") from error
        with file:
            while not _locked(file):
                self._progress("waiting for another process that fetches it", 0, None)
                await asyncio.sleep(_POLL_SECONDS)
            yield

    def _stamp(self) -> dict[str, Any] | None:
        try:
            stamp = json.loads((self._path / STAMP).read_bytes())
            return {"sha256": str(stamp["sha256"]), "files": {str(n): int(size) for n, size in stamp["files"].items()}}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _whole(self, stamp: dict[str, Any]) -> bool:
        """Whether each file is there with its size."""
        paths = ((self._path / name, size) for name, size in stamp["files"].items())
        return all(path.is_file() and path.stat().st_size == size for path, size in paths)

    def _check_place(self, stamp: dict[str, Any] | None, sha256: str, replace: bool) -> None:
        if not os.path.lexists(self._path) or (stamp and stamp["sha256"] == sha256):
            return
        if stamp is None and not (self._path.is_dir() and not any(self._path.iterdir())):
            raise Misconfigured(f"{self._path}: found what this command did not put there, expected nothing: name another folder")
        if stamp is not None and not replace:
            raise Misconfigured(
                f"{self._path}: found the model with the sha256 {stamp['sha256']}, expected {sha256} or nothing: "
                "name another folder, or say --replace"
            )

    async def _build(self, source: ModelSource, sha256: str) -> dict[str, int]:
        """Everything below the work folder's `files`; returns the sizes."""
        wanted = self._work / "sha256"
        if not wanted.is_file() or wanted.read_text() != sha256:
            shutil.rmtree(self._work, ignore_errors=True)
            try:
                self._work.mkdir()
                wanted.write_text(sha256)
            except OSError as error:
                raise disk_error(error, str(self._work)) from error
        main = await self._main(source, sha256)
        files = self._work / "files"
        if is_archive(main):
            sizes = await asyncio.to_thread(unpack, main, files, limit=self._limit, progress=self._progress)
        else:
            sizes = await self._listed(source, read_list(main, source.shown), files)
        if STAMP in sizes or (files / STAMP).is_dir():
            raise Misconfigured(f"{source.shown}: found something named {STAMP}, expected nothing: it is this command's own")
        return sizes

    async def _main(self, source: ModelSource, sha256: str) -> Path:
        """A copy of the archive or the list, with the right digest: what lies elsewhere may change after it was read."""
        main, done = self._work / "source", self._work / "source.done"
        if not done.exists():
            await download(source, None, main, sha256, limit=self._limit, progress=self._progress, pauses=self._pauses)
            done.touch()
        return main

    async def _listed(self, source: ModelSource, listed: dict[str, str], files: Path) -> dict[str, int]:
        """Bring each file that is not there: one gets its name when its digest is right."""
        sizes: dict[str, int] = {}
        parts, left = self._work / "parts", self._limit
        for number, (name, sha256) in enumerate(listed.items()):
            target, part = files / name, parts / str(number)
            for each in (target, part):
                each.parent.mkdir(parents=True, exist_ok=True)
            if not target.is_file():
                await download(source, name, part, sha256, limit=left, progress=self._progress, pauses=self._pauses)
                part.rename(target)
            sizes[name] = target.stat().st_size
            left -= sizes[name]
        return sizes

    def _put_in_place(self, source: ModelSource, sha256: str, sizes: dict[str, int]) -> None:
        files = self._work / "files"
        stamp = {"sha256": sha256, "source": source.shown, "files": sizes}
        (files / STAMP).write_text(json.dumps(stamp, indent=1))
        _sync(files / STAMP, files)
        old = self._work / "old"
        if self._path.exists():
            self._path.rename(old)
        files.rename(self._path)
        _sync(self._path.parent)
        shutil.rmtree(self._work, ignore_errors=True)


def _locked(file: Any) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync(*paths: Path) -> None:
    """So that no power failure leaves a stamp without its files."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
