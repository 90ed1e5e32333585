"""Prints of a lock file the packages that the running Python does not have yet.

    absent.py LOCK

An image that brings its own releases of some packages keeps them; only what is missing is installed beside them.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path


def absent(lock: str) -> Iterator[str]:
    """The entries of `lock`, hashes included, whose package is not installed."""
    for entry in re.split(r"\n(?=[A-Za-z0-9])", lock.strip()):
        name = re.match(r"[A-Za-z0-9._-]+", entry)
        if name and not _installed(name.group()):
            yield entry


def _installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    print("\n".join(absent(Path(sys.argv[1]).read_text(encoding="utf-8"))))
