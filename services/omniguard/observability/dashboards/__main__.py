"""Writes the boards into a folder, by default the package's own; with `--check` says which files are not what they should be."""

from __future__ import annotations

import sys
from pathlib import Path

from omniguard.observability.dashboards import FOLDER, files, stale

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Return the exit status: 1 if `--check` found a file to write anew."""
    named = [Path(each) for each in arguments if each != "--check"]
    folder = named[0] if named else FOLDER
    if "--check" not in arguments:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files().items():
            (folder / name).write_text(text, encoding="utf-8")
        return 0
    old = stale(folder)
    for name in old:
        print(f"{folder / name}: differs from the code; run `python -m omniguard.observability.dashboards`", file=sys.stderr)
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
