"""What the steps of a fetch share: how far they are, names that are safe to write, and room on the disk."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from omniguard.errors import Misconfigured, OmniGuardError

Progress = Callable[[str, int, int | None], None]
"""Told what is being done, and how many bytes of how many (None: not known) are."""

MAX_NAME, MAX_PART = 512, 255
"""Characters of a path, and bytes of one name in it: what every file system takes."""
SPARE = 64 * 1024 * 1024
"""Bytes that a volume keeps."""


class ModelNotFetched(OmniGuardError):
    """The model could not be brought for a reason that may pass: a server that is away, a volume that is full."""


def safe_name(name: str, where: str) -> str:
    """A relative path that stays below its folder, without a leading `./`.

    Raises:
        Misconfigured: it is absolute, climbs, holds what no file name of a model does, or is too long.

    """
    plain = name.removeprefix("./").rstrip("/")
    parts = plain.split("/")
    odd = "\\" in plain or not plain.isprintable() or len(name) > MAX_NAME
    odd = odd or any(len(each.encode()) > MAX_PART for each in parts)
    if not plain or plain.startswith("/") or odd or {"", ".", ".."} & set(parts):
        raise Misconfigured(
            f"{where}: found the name {name[:80]!a}, expected a plain relative one below the folder: pack it anew"
        )
    return str(PurePosixPath(plain))


def need_room(folder: Path, size: int, what: str) -> None:
    """Raise ModelNotFetched where the volume of `folder` has no room for `size` more bytes."""
    free = shutil.disk_usage(folder).free
    if size + SPARE > free:
        raise ModelNotFetched(
            f"{what}: found {free / 1e9:.2f} GB free at {folder}, expected {(size + SPARE) / 1e9:.2f} GB: enlarge the volume"
        )


def disk_error(error: OSError, what: str) -> OmniGuardError:
    """What to raise where `what` cannot be written: a full volume may be enlarged, all else must be changed."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ModelNotFetched(f"{what}: found the volume full, expected room: enlarge it")
    return Misconfigured(f"{what}: cannot be written ({error.strerror}); expected a folder that may be written")
