"""Landlock: the process reads below given folders and files, and changes nothing anywhere."""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from omniguard.media.sandbox.kernel import syscall

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_RIGHTS_BY_ABI: Final = ((5, 1 << 16), (3, 1 << 15), (2, 1 << 14), (1, 1 << 13))
"""ABI and the number above the last right to files that it knows."""
_CONNECT_AND_BIND: Final = 0b11
_OUTSIDE_SIGNALS_AND_SOCKETS: Final = 0b11


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("descriptor", ctypes.c_int32))


def restrict(readable: Iterable[Path]) -> None:
    """From now on only `readable` and what is below is opened, for reading; TCP and signals to others end where the kernel can.

    Needs `no_new_privs`. Processes outside, their memory and their environment can no longer be looked into either.

    Raises:
        OSError: the kernel has no Landlock or has it switched off; or one of `readable` is missing.

    """
    abi = syscall(_CREATE_RULESET, None, 0, _VERSION)
    rights = next(end for least, end in _RIGHTS_BY_ABI if abi >= least) - 1
    asked = _Ruleset(rights, _CONNECT_AND_BIND if abi >= 4 else 0, _OUTSIDE_SIGNALS_AND_SOCKETS if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = syscall(_CREATE_RULESET, ctypes.byref(asked), size, 0)
    try:
        for path in readable:
            _allow(ruleset, path)
        syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        rule = _PathBeneath(_READ_FILE | (_READ_DIR if folder else 0), descriptor)
        syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)
