"""Tar archives, plain or in gzip or zstd, unpacked as if somebody hostile had made them: nothing but files and folders."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from backports.zstd import ZstdError, ZstdFile

from omniguard.adapters.model_files.outcomes import Progress, disk_error, need_room, safe_name
from omniguard.errors import Misconfigured

__all__ = ["MAX_FILES", "is_archive", "unpack"]

MAX_FILES = 100_000
_GZIP, _ZSTD, _TAR = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"ustar"
_TAR_AT = 257
_BLOCK = 1024 * 1024
_DAMAGED = (
    tarfile.TarError,
    EOFError,
    zlib.error,
    gzip.BadGzipFile,
    ZstdError,
    ValueError,
    LookupError,
    OverflowError,
    RecursionError,
)
"""What tarfile and the unpackers raise for bytes that are wrong; the last four where tarfile believed a header."""
_MAX_READ = 4 * _BLOCK
"""Bytes at once: tarfile reads a header of the archive's own choice of length in one piece."""


def is_archive(path: Path) -> bool:
    """Whether the file begins as an archive does that `unpack` reads."""
    with path.open("rb") as file:
        head = file.read(_TAR_AT + len(_TAR))
    return head.startswith((_GZIP, _ZSTD)) or head[_TAR_AT:] == _TAR


def unpack(archive: Path, into: Path, *, limit: int, progress: Progress) -> dict[str, int]:
    """Unpack into a folder, which is emptied before; return the size of each file.

    Where all lies in one folder of the archive, that folder is left out of the names.

    Raises:
        Misconfigured: the archive is damaged, too large, or holds what it must not: names that leave the folder, links, devices,
            sparse files, a name twice.
        ModelNotFetched: the volume is full.

    """
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    try:
        with archive.open("rb") as raw, tarfile.open(fileobj=_Forward(_plain(raw)), mode="r:") as tar:  # type: ignore[call-overload]
            sizes = _members(tar, into, limit, progress)
    except _DAMAGED as error:
        raise Misconfigured(
            f"{archive.name}: found a damaged archive ({type(error).__name__}), expected tar, tar.gz or tar.zst: pack it anew"
        ) from error
    if not sizes:
        raise Misconfigured(f"{archive.name}: found no file in the archive, expected a model's")
    return _without_top(into, sizes)


def _members(tar: tarfile.TarFile, into: Path, limit: int, progress: Progress) -> dict[str, int]:
    sizes: dict[str, int] = {}
    done = 0
    for seen, member in enumerate(tar, 1):
        if seen > MAX_FILES:
            raise Misconfigured(f"found more than {MAX_FILES} members in the archive, expected at most so many")
        if member.isdir() and member.name.strip("./") == "":
            continue
        name = safe_name(member.name, "the archive")
        if member.isdir():
            with _placing(into / name):
                (into / name).mkdir(parents=True, exist_ok=True)
            continue
        _check_kind(member, name)
        if name in sizes:
            raise Misconfigured(f"the archive: found the name {name!a} twice, expected each once: pack it anew")
        done += member.size
        if done > limit:
            raise Misconfigured(
                f"the archive: found more than {limit} bytes unpacked, expected at most so many: raise --max-bytes"
            )
        need_room(into, member.size, name)
        with _placing(into / name):
            _write(tar, member, into / name)
        sizes[name] = member.size
        progress(f"unpacked {name}", done, None)
        tar.members = []  # type: ignore[attr-defined]  # else it keeps every header
    return sizes


def _check_kind(member: tarfile.TarInfo, name: str) -> None:
    if not member.isreg() or member.issparse() or member.size < 0:
        kind = "link" if member.issym() or member.islnk() else "sparse file" if member.issparse() else "device or the like"
        raise Misconfigured(f"the archive: found a {kind} under the name {name!a}, expected files and folders alone")


@contextmanager
def _placing(path: Path) -> Iterator[None]:
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        raise Misconfigured(f"the archive: found {path.name!a} as a file and as a folder, expected one of them") from error
    except gzip.BadGzipFile:  # an OSError too, and the archive's
        raise
    except OSError as error:
        raise disk_error(error, f"the archive's {path.name!a}") from error


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    assert source is not None  # it is a regular file
    with target.open("xb") as file:
        shutil.copyfileobj(source, file, _BLOCK)
        file.flush()
        os.fsync(file.fileno())
    if target.stat().st_size != member.size:
        raise EOFError


def _without_top(into: Path, sizes: dict[str, int]) -> dict[str, int]:
    tops = {name.partition("/")[0] for name in sizes}
    if len(tops) != 1 or any("/" not in name for name in sizes):
        return sizes
    (top,) = tops
    aside = into.with_name(f"{into.name}.top")
    shutil.rmtree(aside, ignore_errors=True)
    (into / top).rename(aside)
    shutil.rmtree(into)
    aside.rename(into)
    return {name.partition("/")[2]: size for name, size in sizes.items()}


def _plain(raw: BinaryIO) -> _Readable:
    head = raw.read(4)
    raw.seek(0)
    if head.startswith(_GZIP):
        return gzip.GzipFile(fileobj=raw)
    return ZstdFile(raw) if head == _ZSTD else raw


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Forward:
    """A stream as tarfile wants it, which only goes forward and gives little at once."""

    def __init__(self, source: _Readable) -> None:
        self._source, self._at = source, 0

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_READ:
            raise tarfile.ReadError("a header that is far too long")
        found = []
        while size and (block := self._source.read(size)):
            found.append(block)
            size -= len(block)
        data = b"".join(found)
        self._at += len(data)
        return data

    def tell(self) -> int:
        return self._at

    def seek(self, position: int, whence: int = 0) -> int:
        if whence or position < self._at:
            raise tarfile.ReadError("a member that points backwards")
        while (left := position - self._at) and self.read(min(left, _BLOCK)):
            pass
        return self._at
