"""The decoder's child on a kernel without Landlock."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from omniguard.media import child
from omniguard.media.sandbox import landlock


def _missing(readable: Iterable[Path]) -> None:
    raise OSError("no Landlock in this kernel")


if __name__ == "__main__":
    landlock.restrict = _missing
    sys.exit(child.main(*sys.argv[1:3]))
