"""System calls that Python does not wrap."""

from __future__ import annotations

import ctypes
import os
from typing import Any, Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

PR_SET_SECCOMP: Final = 22
PR_SET_NO_NEW_PRIVS: Final = 38
_CAPSET: Final = {"x86_64": 126, "aarch64": 91}
_CAPABILITIES_V3: Final = 0x2008_0522
_NEW_USER, _NEW_NET, _NEW_IPC = 0x1000_0000, 0x4000_0000, 0x0800_0000


def syscall(number: int, *arguments: Any) -> int:
    """Call the kernel; what is no ctypes object is passed as a long.

    Raises:
        OSError: the kernel refuses.

    """
    given = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _checked(_LIBC.syscall(ctypes.c_long(number), *given))


def prctl(option: int, *arguments: Any) -> None:
    """Change what the kernel holds of this process.

    Raises:
        OSError: the kernel refuses.

    """
    given = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    given += [ctypes.c_ulong(0)] * (4 - len(given))
    _checked(_LIBC.prctl(option, *given))


def leave_networks() -> None:
    """Move into a user namespace with an empty network and no shared memory of others. Needs a process with one thread.

    Raises:
        OSError: user namespaces are switched off or refused here, as many container runtimes do.

    """
    _checked(_LIBC.unshare(_NEW_USER | _NEW_NET | _NEW_IPC))


def drop_capabilities() -> None:
    """Give up every capability, also those that a user namespace of one's own brings.

    Raises:
        OSError: the kernel refuses, or the machine is of another kind than x86_64 and aarch64.

    """
    number = _CAPSET.get(os.uname().machine)
    if number is None:
        raise OSError(f"no capset known for {os.uname().machine}")
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_V3, 0)
    syscall(number, ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
