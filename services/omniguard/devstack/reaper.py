"""Ends a stack whose owner has died, by whatever signal: `python -m omniguard.devstack.reaper OWNER STATE_DIR`.

A process of its own rather than a death signal set on each part: that one is tied to the thread that started the part, does
not reach Triton's model processes and leaves shared memory behind.
"""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

from omniguard.devstack.stack import Stack


def main() -> None:
    """Waits for the owner without polling, then takes the stack down."""
    owner, state_dir = int(sys.argv[1]), Path(sys.argv[2])
    try:
        handle = os.pidfd_open(owner)
    except ProcessLookupError:
        pass  # dead already
    else:
        select.select([handle], [], [])
    Stack(state_dir).down(grace=0.0)


if __name__ == "__main__":
    main()
