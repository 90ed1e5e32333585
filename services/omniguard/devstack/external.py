"""A part that is somebody else's: only its address is known, and whether anybody answers there."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from omniguard.devstack.errors import DevStackError
from omniguard.devstack.parts import PartName


@dataclass(frozen=True, slots=True)
class External:
    """`address` as clients take it: bootstrap servers (host:port, comma between) or a URL with host and port."""

    name: PartName
    address: str

    def check(self) -> None:
        """Raises DevStackError if the address cannot be read or nobody answers there."""
        if not self.answers():
            raise DevStackError(
                f"--{self.name} {self.address}: nobody answers at {self._first()}; expected a running server there"
            )

    def answers(self) -> bool:
        """True if a connection can be made to the first host."""
        try:
            with socket.create_connection(self._first(), 5.0):
                return True
        except OSError:
            return False

    def urls(self) -> dict[str, str]:
        """The address under the name that clients ask for."""
        return {self.name: self.address}

    def _first(self) -> tuple[str, int]:
        first = self.address.split(",")[0]
        parts = urlsplit(first if "://" in first else f"//{first}")
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host or not port:
            raise DevStackError(f"--{self.name} {self.address}: expected HOST:PORT or a URL with both")
        return host, port
