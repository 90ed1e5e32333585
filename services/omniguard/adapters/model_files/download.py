"""One file from a source to the disk: goes on where an earlier try ended, and ends only with the digest that was promised."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from omniguard.adapters.model_files.outcomes import ModelNotFetched, Progress, disk_error, need_room
from omniguard.adapters.model_files.sources import ModelSource, Stream
from omniguard.errors import Misconfigured

__all__ = ["PAUSES", "download"]

PAUSES = (1.0, 3.0, 10.0, 30.0)
"""Seconds before each further try; one that brought bytes starts the row anew."""
_BLOCK = 4 * 1024 * 1024


async def download(
    source: ModelSource,
    beside: str | None,
    target: Path,
    sha256: str,
    *,
    limit: int,
    progress: Progress,
    pauses: tuple[float, ...] = PAUSES,
) -> int:
    """Bring a file; return its size. What an earlier run left in `target` is gone on with.

    Args:
        source: where from.
        beside: a name beside the source, None for the source itself.
        target: the file to write; `target` + `.from` holds what it was begun from.
        sha256: what the bytes must have.
        limit: bytes at most.
        progress: told as bytes arrive.
        pauses: seconds before each further try.

    Raises:
        ModelNotFetched: no try of them all came to the end, or the volume is full.
        Misconfigured: there is no such file, it is too large, or its bytes have another digest: these are deleted.

    """
    left = iter(pauses)
    while True:
        had = _size(target)
        try:
            return await _try(source, beside, target, sha256, limit, progress)
        except ModelNotFetched:
            if _size(target) > had:
                left = iter(pauses)
            pause = next(left, None)
            if pause is None:
                raise
            await asyncio.sleep(pause)


async def _try(source: ModelSource, beside: str | None, target: Path, sha256: str, limit: int, progress: Progress) -> int:
    note, name = target.with_name(f"{target.name}.from"), beside or source.shown
    have = _size(target)
    # From the last byte, not behind it: a range of nothing is an error, and all may be there but its check.
    async with source.read(beside, max(0, have - 1), _noted(note)) as stream:
        if stream.total is not None and stream.total > limit:
            raise Misconfigured(f"{name}: found {stream.total} bytes, expected at most {limit}: raise --max-bytes")
        _make_room(target, name, stream, have)
        _on_disk(name, lambda: note.write_text(json.dumps(stream.tag)))
        with target.open("r+b" if stream.start else "wb") as file:
            digest = await asyncio.to_thread(_digest, file, stream.start)
            size = await _fill(file, stream, digest, limit, name, progress)
    if stream.total is not None and size != stream.total:
        raise ModelNotFetched(f"{name}: found {size} bytes, expected {stream.total}: the connection ended early")
    if digest.hexdigest() != sha256:
        _forget(target, note)
        raise Misconfigured(
            f"{name}: found bytes with the sha256 {digest.hexdigest()}, expected {sha256}; the copy was deleted: "
            "correct the digest or the file"
        )
    _forget(note)
    return size


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _forget(*paths: Path) -> None:
    for path in paths:
        path.unlink()


def _noted(note: Path) -> str | None:
    """The tag of what was begun; None where nothing can be gone on with."""
    try:
        tag = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return None
    return tag if isinstance(tag, str) else None


def _make_room(target: Path, name: str, stream: Stream, have: int) -> None:
    if stream.total is not None:
        need_room(target.parent, stream.total - max(stream.start, have), name)


async def _fill(file: BinaryIO, stream: Stream, digest: hashlib._Hash, limit: int, name: str, progress: Progress) -> int:
    size = stream.start
    progress(name, size, stream.total)
    async for chunk in stream.chunks:
        size += len(chunk)
        if size > limit:
            raise Misconfigured(f"{name}: found more than {limit} bytes, expected at most so many: raise --max-bytes")
        _on_disk(name, lambda chunk=chunk: file.write(chunk))  # type: ignore[misc]
        digest.update(chunk)
        progress(name, size, stream.total)
    _on_disk(name, file.flush)
    _on_disk(name, lambda: os.fsync(file.fileno()))
    return size


def _digest(file: BinaryIO, size: int) -> hashlib._Hash:
    """Of the first `size` bytes, behind which the file is cut off and written on."""
    digest, left = hashlib.sha256(), size
    while left and (block := file.read(min(_BLOCK, left))):
        digest.update(block)
        left -= len(block)
    file.seek(size)
    file.truncate()
    return digest


def _on_disk(name: str, write: Callable[[], object]) -> None:
    """Do it; an error of the disk is no error of the source, whose handlers stand around."""
    try:
        write()
    except OSError as error:
        raise disk_error(error, name) from error
