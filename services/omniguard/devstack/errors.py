"""What can go wrong with the developer stack; every message says what was found, what was expected and what to do."""

from __future__ import annotations

from pathlib import Path

from omniguard.errors import OmniGuardError


class DevStackError(OmniGuardError):
    """The stack cannot do what was asked of it; the message is for the person at the terminal."""


class MissingPrerequisite(DevStackError):
    """Something the machine must bring is absent or too old."""

    def __init__(self, found: str, bring: str) -> None:
        super().__init__(f"{found}\nhint: {bring}")
        self.found = found
        self.bring = bring


class PartFailed(DevStackError):
    """A part did not start, or has died. Carries the log file and its last lines."""

    def __init__(self, part: str, what: str, log: Path, tail: str) -> None:
        super().__init__(f"{part} {what}\nlog: {log}\n{tail}".rstrip())
        self.part = part
        self.log = log
        self.tail = tail
