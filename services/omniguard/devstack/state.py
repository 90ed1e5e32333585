"""What a stack remembers between commands: one JSON file in its folder, replaced whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from omniguard.devstack.errors import DevStackError
from omniguard.devstack.process import Running

_VERSION = 1


@dataclass(frozen=True, slots=True)
class PartState:
    """A part as it was last started. `running` is None once it has been stopped on purpose; `external` parts never run here."""

    ports: Mapping[str, int]
    argv: tuple[str, ...]
    log: str
    urls: Mapping[str, str]
    running: Running | None
    external: bool = False


@dataclass(slots=True)
class State:
    """The parts of a stack by name."""

    parts: dict[str, PartState] = field(default_factory=dict)


def load(file: Path) -> State:
    """The state in `file`, or an empty one. Raises DevStackError for a file of another version or none of ours."""
    if not file.exists():
        return State()
    try:
        raw = json.loads(file.read_bytes())
        if raw["version"] != _VERSION:
            raise DevStackError(f"{file} has version {raw['version']}, expected {_VERSION}; delete its folder")
        return State({name: _part(part) for name, part in raw["parts"].items()})
    except (ValueError, KeyError, TypeError) as error:
        raise DevStackError(f"{file} is not a state file of the developer stack ({error!r}); delete its folder") from error


def save(file: Path, state: State) -> None:
    """Replaces the file in one step, so that a reader never sees half of it."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps({"version": _VERSION, **asdict(state)}, indent=1))
    os.replace(new, file)


def _part(raw: dict[str, object]) -> PartState:
    running, argv = raw.pop("running"), raw.pop("argv")
    if not isinstance(argv, list):
        raise TypeError("argv is not a list")
    return PartState(**raw, argv=tuple(argv), running=Running(**running) if isinstance(running, dict) else None)  # type: ignore[arg-type]
