"""A seccomp filter as classic BPF: what decoding needs is allowed, what only an intruder asks for is fatal, the rest fails.

Written by hand, since a library for it brings a shared object that slim images lack; see docs/adr/0015-decoder-sandbox.md.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from typing import Final

from omniguard.media.sandbox.kernel import PR_SET_SECCOMP, prctl

_ALLOW: Final = 0x7FFF_0000
_KILL: Final = 0x8000_0000
_ERRNO: Final = 0x0005_0000
_FILTER: Final = 2
_AUDIT_X86_64: Final = 0xC000_003E
_X32: Final = 0x4000_0000

# Classic BPF: load a word of the call's description, compare, return.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16

ALLOWED: Final = {
    "read": 0, "write": 1, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8, "mmap": 9, "mprotect": 10,
    "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "pread64": 17, "readv": 19,
    "writev": 20, "access": 21, "sched_yield": 24, "mremap": 25, "madvise": 28, "dup": 32, "nanosleep": 35, "getpid": 39,
    "exit": 60, "uname": 63, "getcwd": 79, "readlink": 89, "gettimeofday": 96, "getrlimit": 97, "getrusage": 98, "sysinfo": 99,
    "times": 100, "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108, "getppid": 110, "sigaltstack": 131,
    "arch_prctl": 158, "gettid": 186, "time": 201, "futex": 202, "sched_getaffinity": 204, "getdents64": 217,
    "set_tid_address": 218, "restart_syscall": 219, "fadvise64": 221, "clock_gettime": 228, "clock_getres": 229,
    "clock_nanosleep": 230, "exit_group": 231, "newfstatat": 262, "readlinkat": 267, "faccessat": 269, "set_robust_list": 273,
    "getcpu": 309, "getrandom": 318, "membarrier": 324, "statx": 332, "rseq": 334, "close_range": 436, "faccessat2": 439,
}  # fmt: skip
"""Whatever their arguments are."""

FATAL: Final = {
    "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "sendmsg": 46, "bind": 49, "listen": 50, "socketpair": 53,
    "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "ptrace": 101, "pivot_root": 155, "chroot": 161, "mount": 165,
    "umount2": 166, "reboot": 169, "init_module": 175, "tkill": 200, "kexec_load": 246, "add_key": 248, "request_key": 249,
    "keyctl": 250, "unshare": 272, "perf_event_open": 298, "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310,
    "process_vm_writev": 311, "finit_module": 313, "bpf": 321, "execveat": 322, "userfaultfd": 323, "pidfd_open": 434,
    "io_uring_setup": 425, "open_tree": 428, "move_mount": 429, "fsopen": 430, "pidfd_getfd": 438,
}  # fmt: skip
"""No codec asks for these: the process ends by SIGSYS."""

_IOCTL, _CLONE, _FCNTL, _PRCTL, _TGKILL, _OPENAT, _PRLIMIT, _CLONE3 = 16, 56, 72, 157, 234, 257, 302, 435
_THREAD: Final = 0x1_0000
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_TMPFILE & ~os.O_DIRECTORY
_TERMINAL_COMMANDS: Final = (0x5401, 0x5421, 0x5451, 0x541B)  # TCGETS, FIONBIO, FIOCLEX, FIONREAD
_DESCRIPTOR_COMMANDS: Final = (0, 1, 2, 3, 4, 1030)  # F_DUPFD, F_[GS]ETFD, F_[GS]ETFL, F_DUPFD_CLOEXEC
_NAMES_OF_THREADS: Final = (15, 16, 0x5356_4D41)  # PR_SET_NAME, PR_GET_NAME, PR_SET_VMA


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def restrict() -> None:
    """Load the filter, for every thread that this one starts. Needs `no_new_privs`.

    Raises:
        OSError: the kernel refuses, or is of another architecture than x86_64.

    """
    if os.uname().machine != "x86_64":
        raise OSError(errno.ENOSYS, f"the filter is written for x86_64, not {os.uname().machine}")
    code = b"".join(struct.pack("<HBBI", *instruction) for instruction in _filter())
    prctl(PR_SET_SECCOMP, _FILTER, ctypes.byref(_Program(len(code) // 8, code)))


_Instruction = tuple[int, int, int, int]


def _filter() -> Iterable[_Instruction]:
    """Instructions as (operation, jump if true, jump if false, operand)."""
    yield from ((_LOAD, 0, 0, _ARCHITECTURE_AT), (_EQUAL, 1, 0, _AUDIT_X86_64), (_RETURN, 0, 0, _KILL))
    yield (_LOAD, 0, 0, _NUMBER_AT)
    yield from ((_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _KILL))
    for number in ALLOWED.values():
        yield from _is(number, _ALLOW)
    for number in FATAL.values():
        yield from _is(number, _KILL)
    yield from _is(_CLONE3, _ERRNO | errno.ENOSYS)  # its flags lie in memory, unseen; libc then takes clone
    yield from _by_argument(_CLONE, 0, ((_ANY_BIT, _THREAD),), _ALLOW, _KILL)
    yield from _by_argument(_OPENAT, 2, ((_ANY_BIT, _WRITES),), _ERRNO | errno.EACCES, _ALLOW)
    yield from _by_argument(_IOCTL, 1, _equals(_TERMINAL_COMMANDS), _ALLOW, _ERRNO | errno.EPERM)
    yield from _by_argument(_FCNTL, 1, _equals(_DESCRIPTOR_COMMANDS), _ALLOW, _ERRNO | errno.EPERM)
    yield from _by_argument(_PRCTL, 0, _equals(_NAMES_OF_THREADS), _ALLOW, _ERRNO | errno.EPERM)
    yield from _by_argument(_TGKILL, 0, _equals((os.getpid(),)), _ALLOW, _KILL)  # abort()
    yield from _by_argument(_PRLIMIT, 0, _equals((0,)), _ALLOW, _ERRNO | errno.EPERM)
    yield (_RETURN, 0, 0, _ERRNO | errno.EPERM)


def _is(number: int, verdict: int) -> Iterable[_Instruction]:
    return (_EQUAL, 0, 1, number), (_RETURN, 0, 0, verdict)


def _equals(values: Iterable[int]) -> tuple[tuple[int, int], ...]:
    return tuple((_EQUAL, value) for value in values)


def _by_argument(number: int, argument: int, tests: Iterable[tuple[int, int]], hit: int, miss: int) -> Iterable[_Instruction]:
    """Judge the call `number` by the lower half of one argument: `hit` if any test holds."""
    body: list[_Instruction] = [(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument)]
    for test, operand in tests:
        body += [(test, 0, 1, operand), (_RETURN, 0, 0, hit)]
    body.append((_RETURN, 0, 0, miss))
    return [(_EQUAL, 0, len(body), number), *body]
