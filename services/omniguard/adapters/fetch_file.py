"""`file://`: regular files below the configured roots."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from io import FileIO
from pathlib import Path
from urllib.parse import unquote, urlsplit

from omniguard.adapters.sink import Sink
from omniguard.domain.fetching import FetchRules
from omniguard.domain.reason import Reason
from omniguard.errors import BadContent, Retryable

CHUNK = 1024 * 1024
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # non-blocking: a FIFO must not hold the thread


async def fetch_file(uri: str, rules: FetchRules, sink: Sink) -> None:
    """Copy the file into `sink`. Reading happens in threads: a root may lie on a network.

    Raises:
        BadContent: forbidden, not_found, too_large.
        Retryable: fetch_failed.

    """
    path = _path(uri)
    try:
        file = await asyncio.to_thread(_open, path, rules.file_roots)
        await _copy(file, sink)
    except FileNotFoundError as error:
        raise BadContent(Reason.NOT_FOUND, "the file does not exist") from error
    except (PermissionError, NotADirectoryError, IsADirectoryError) as error:
        raise BadContent(Reason.FORBIDDEN, f"the file cannot be opened: {error.strerror}") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise BadContent(Reason.NOT_FOUND, "the file's name is longer than any file's") from error
        raise Retryable(Reason.FETCH_FAILED, f"the file cannot be read: {error.strerror}") from error


async def _copy(file: FileIO, sink: Sink) -> None:
    reading = None
    try:
        sink.expect(os.fstat(file.fileno()).st_size)
        while True:
            reading = asyncio.get_running_loop().run_in_executor(None, file.read, CHUNK)
            chunk = await asyncio.shield(reading)
            if not chunk:
                return
            sink.write(chunk)
    finally:
        if reading is None or reading.done():
            file.close()
        else:  # cancelled: the thread still reads, and a closed number may soon be another file
            reading.add_done_callback(lambda _: file.close())


def _path(uri: str) -> Path:
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise BadContent(Reason.FORBIDDEN, "the file uri cannot be read; expected file:///path, percent-encoded") from None
    name = unquote(parts.path)
    if parts.netloc.lower() not in ("", "localhost") or parts.query or parts.fragment:
        raise BadContent(
            Reason.FORBIDDEN, "the file uri names a host, a query or a fragment; expected file:///path, percent-encoded"
        )
    if not name.startswith("/") or "\x00" in name:
        raise BadContent(Reason.FORBIDDEN, "the file uri is not an absolute path; expected file:///path")
    return Path(name)


def _open(path: Path, roots: tuple[str, ...]) -> FileIO:
    """Resolve links, compare with the roots, then open without following any: a link swapped in meanwhile is refused."""
    try:
        real = path.resolve()
    except RuntimeError as error:
        raise BadContent(Reason.FORBIDDEN, "the path is a loop of symbolic links") from error
    for root in (Path(root).resolve() for root in roots):
        if real.is_relative_to(root) and real != root:
            return _open_below(root, real.relative_to(root).parts)
    raise BadContent(Reason.FORBIDDEN, "the file is not below a configured root; list one in the tenant's file_roots")


def _open_below(root: Path, names: tuple[str, ...]) -> FileIO:
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names[:-1]:
            inner = os.open(name, _READ | os.O_DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = inner
        if not stat.S_ISREG(os.stat(names[-1], dir_fd=folder, follow_symlinks=False).st_mode):
            raise BadContent(Reason.FORBIDDEN, "the path is no regular file; expected one")
        file = FileIO(os.open(names[-1], _READ, dir_fd=folder))
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise BadContent(Reason.FORBIDDEN, "the path is no regular file; expected one")
    return file
