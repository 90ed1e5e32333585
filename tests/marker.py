"""A mark that tests plant in uploads, and a search for it after the whole run: what a user wrote is in no log, metric, span or
dead letter's header.

What is searched is what the run's tests kept below their folders: every `*.log` (of workers, Triton, Kafka, Redis) and what
`keep` wrote. The controlling process searches, when every xdist worker has ended; a finding fails the run and names the file.
"""

from __future__ import annotations

import mmap
import os
import re
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

MARK = "zq7-planted-by-a-user-7qz"
_KEPT = "kept-"
_SEGMENT_OF_KAFKA = re.compile(r"\d{20}\.log")
_FOUND = pytest.StashKey[list[Path]]()


def planted(text: str) -> str:
    """`text` as a user wrote it, with the mark."""
    return f"{text} {MARK}"


def keep(folder: Path, name: str, said: bytes) -> None:
    """Keep what a service said, for the search at the end of the run."""
    (folder / f"{_KEPT}{name}-{uuid.uuid4().hex[:8]}").write_bytes(said)


def leaks(folders: Iterable[Path]) -> list[Path]:
    """The files below `folders` that hold the mark."""
    return [file for file in sorted(set(_searched(folders))) if _holds(file)]


def _searched(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        for where, _, names in os.walk(folder):
            for name in names:
                if name.startswith(_KEPT) or (name.endswith(".log") and not _SEGMENT_OF_KAFKA.fullmatch(name)):
                    yield Path(where, name)


def _holds(file: Path) -> bool:
    if not file.is_file() or file.stat().st_size == 0:
        return False
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(MARK.encode()) >= 0


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Search, and fail the run."""
    if hasattr(session.config, "workerinput"):
        return
    folders = [session.config._tmp_path_factory.getbasetemp()]  # type: ignore[attr-defined]
    if "TEST_RUN_OF_OMNIGUARD" in os.environ:
        folders.append(Path(os.environ["TEST_RUN_OF_OMNIGUARD"].split(" ", 1)[1]))
    found = leaks(folders)
    session.config.stash[_FOUND] = found
    if found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name the files."""
    for file in config.stash.get(_FOUND, []):
        terminalreporter.write_line(f"LEAK: {file} holds what tests planted in uploads; logs may hold no user content", red=True)
