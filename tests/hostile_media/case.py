"""One hostile file, and what must become of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MARKER = "Quixotic-Zebra-4711"
"""Stands in names and tags of files; no message may repeat it."""


class Outcome(StrEnum):
    """What becomes of a file: examined to its end, or refused for one of these reasons."""

    EXAMINED = "examined"
    DAMAGED = "damaged"
    UNSUPPORTED = "unsupported"
    TOO_LARGE = "too_large"
    TOO_LONG = "too_long"


EXAMINED = frozenset({Outcome.EXAMINED})
DAMAGED = frozenset({Outcome.DAMAGED})
UNSUPPORTED = frozenset({Outcome.UNSUPPORTED})
TOO_LARGE = frozenset({Outcome.TOO_LARGE})
TOO_LONG = frozenset({Outcome.TOO_LONG})
REFUSED = frozenset({Outcome.DAMAGED, Outcome.UNSUPPORTED})
"""What is left no longer shows what it was: either reason is right."""
ANY = EXAMINED | REFUSED
"""Formats that state no length: what is left may be a shorter file in its own right."""


@dataclass(frozen=True, slots=True)
class Case:
    """A file of the corpus.

    `seconds` is how long it plays where it is examined, within `_SLACK` of `reading`; None where that is not at stake.
    `told` says that each picture's brightness tells the second in which it is shown: what was not decoded cannot be claimed.
    """

    family: str
    name: str
    data: bytes
    expect: frozenset[Outcome]
    seconds: float | None = None
    told: bool = False
