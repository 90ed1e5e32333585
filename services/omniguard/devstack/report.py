"""What a stack tells: the addresses of its parts and how they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from omniguard.devstack.errors import DevStackError


@dataclass(frozen=True, slots=True)
class StackUrls:
    """Addresses for clients. Asking for one of a part that the stack does not have raises DevStackError."""

    addresses: Mapping[str, str]

    @property
    def kafka(self) -> str:
        """Bootstrap servers, host:port."""
        return self._get("kafka")

    @property
    def redis(self) -> str:
        """redis:// URL."""
        return self._get("redis")

    @property
    def triton(self) -> str:
        """Triton's gRPC address, host:port."""
        return self._get("triton")

    @property
    def triton_http(self) -> str:
        """Triton's HTTP base URL, without /v2."""
        return self._get("triton_http")

    @property
    def triton_metrics(self) -> str:
        """Triton's Prometheus URL."""
        return self._get("triton_metrics")

    def _get(self, name: str) -> str:
        if name not in self.addresses:
            raise DevStackError(f"this stack has no address {name!r}; it has {', '.join(sorted(self.addresses)) or 'none'}")
        return self.addresses[name]


@dataclass(frozen=True, slots=True)
class PartStatus:
    """A part as it is now. `state` is running, not_ready, dead, stopped or external; `detail` says why, with the log's end."""

    name: str
    state: str
    pid: int | None
    urls: Mapping[str, str]
    log: str
    detail: str

    @property
    def healthy(self) -> bool:
        """True if clients are served."""
        return self.state in ("running", "external")
