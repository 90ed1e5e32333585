"""A list of files with their digests, as `sha256sum` writes it."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from omniguard.adapters.model_files.archive import MAX_FILES
from omniguard.adapters.model_files.outcomes import safe_name
from omniguard.errors import Misconfigured

__all__ = ["MAX_LIST", "read_list"]

MAX_LIST = 32 * 1024 * 1024
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")


def read_list(path: Path, shown: str) -> dict[str, str]:
    """The sha256 of each file, by its name relative to the list.

    Raises:
        Misconfigured: it is no such list, or holds a name that it must not.

    """
    try:
        if path.stat().st_size > MAX_LIST:
            raise UnicodeError
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (UnicodeError, OSError):
        raise Misconfigured(
            f"{shown}: found neither an archive (tar, tar.gz, tar.zst) nor a list as sha256sum writes it"
        ) from None
    files: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        found = _LINE.fullmatch(line)
        if found is None:
            raise Misconfigured(f"{shown}:{number}: expected a sha256, two spaces and a name: write it by `sha256sum FILE…`")
        name = safe_name(found[2], f"{shown}:{number}")
        if name in files:
            raise Misconfigured(f"{shown}:{number}: found {name!a} a second time, expected each name once")
        files[name] = found[1].lower()
    if both := next((name for name in files for above in PurePosixPath(name).parents if str(above) in files), None):
        raise Misconfigured(f"{shown}: found {both!a} below the name of a file, expected it below a folder: correct the list")
    if not 0 < len(files) <= MAX_FILES:
        raise Misconfigured(f"{shown}: found {len(files)} files, expected 1 to {MAX_FILES}")
    return files
