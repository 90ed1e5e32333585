"""Whose content it is, and what the operator settled for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from omniguard.domain.fetching import FetchRules
from omniguard.domain.policy import Policy

RESERVED = "_omniguard"
"""The installation's own tenant, whose uploads prove that it works. Every worker has it, no file may list it."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant's settings.

    `policy` already carries the tenant's own fallback. `policy_epoch` is raised by every activation, a rollback included.
    `quota` is in events per second, None for no limit. `enforce` is False for a tenant in trial.
    """

    name: str
    policy: Policy
    policy_epoch: int
    quota: float | None = None
    fetch: FetchRules = field(default_factory=FetchRules)
    enforce: bool = True
    trust_claimed_sha256: bool = False


@dataclass(frozen=True, slots=True)
class Tenants:
    """All tenants of an installation. `default` serves those that are not listed; None turns them away."""

    listed: Mapping[str, Tenant] = field(default_factory=dict)
    default: Tenant | None = None

    @property
    def credentials(self) -> tuple[str, ...]:
        """Names of the S3 credentials that the fetch rules name, sorted."""
        every = (*self.listed.values(), *([self.default] if self.default else []))
        return tuple(sorted({source.credentials for tenant in every for source in tenant.fetch.s3 if source.credentials}))

    def find(self, name: str) -> Tenant | None:
        """The tenant of that name, or the default under that name, or None."""
        if name in self.listed:
            return self.listed[name]
        return replace(self.default, name=name) if self.default else None
