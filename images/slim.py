"""Removes from a virtual environment what nothing imports at run time: tests, headers, sources, type stubs.

    slim.py ENVIRONMENT

What a package's own metadata list stays true but for the files removed here; licences and metadata stay.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

FOLDERS = ("tests", "test", "include", "examples")
SUFFIXES = frozenset({".a", ".c", ".cpp", ".h", ".hpp", ".pxd", ".pyi", ".pyx"})
KEPT = frozenset({"omniguard"})
"""Packages that are left as they are."""


def slim(site: Path) -> int:
    """Remove them below `site`; the number of bytes that went."""
    before = _size(site)
    for package in [entry for entry in site.iterdir() if entry.is_dir() and entry.name not in KEPT]:
        for folder in [found for name in FOLDERS for found in package.rglob(name)]:
            if folder.is_dir():
                shutil.rmtree(folder)
        for file in package.rglob("*"):
            if file.suffix in SUFFIXES and file.is_file():
                file.unlink()
    return before - _size(site)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    for found in Path(sys.argv[1]).glob("lib/python3.*/site-packages"):
        print(f"slim: {slim(found) / 1e6:.0f} MB less in {found}")
