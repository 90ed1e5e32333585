"""What the stack needs to know of a part, and nothing about which part it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol

from omniguard.devstack.process import Launch

PartName = Literal["kafka", "redis", "triton"]
Ports = Mapping[str, int]


class Part(Protocol):
    """A server of the stack. `home` is the part's own folder, `ports` has a loopback port for each of `port_names`."""

    @property
    def name(self) -> PartName:
        """The name used on the command line, in the state file and for the log."""
        ...

    @property
    def port_names(self) -> tuple[str, ...]:
        """One port is chosen for each; the first is the one that clients use."""
        ...

    @property
    def start_limit(self) -> float:
        """Seconds from start to ready on a slow and busy machine."""
        ...

    @property
    def children(self) -> int:
        """Child processes without which it accepts connections but cannot serve."""
        ...

    def fetch(self, report: Callable[[str], None]) -> None:
        """Checks prerequisites and brings what is to be downloaded, telling `report` so. Raises MissingPrerequisite."""
        ...

    def launch(self, home: Path, ports: Ports) -> Launch:
        """Writes settings into `home` and returns the command to run. Same arguments, same command."""
        ...

    def ready(self, ports: Ports) -> bool:
        """True once clients are served; never raises for a server that is not there."""
        ...

    def clear(self, home: Path) -> None:
        """Removes what a killed server leaves outside `home`; all its processes have ended."""
        ...

    def urls(self, ports: Ports) -> dict[str, str]:
        """Addresses for clients, by the field names of StackUrls."""
        ...
