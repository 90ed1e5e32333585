"""Every error of ours, and why a judgement can be missing.

OmniGuardError
├── Poison                 this input will never work: dead-letter it
│   ├── Unidentifiable     ... and nobody can say whose it is: no verdict is possible
│   └── BadContent         ... but it has an identity: an indeterminate verdict goes with the dead letter
├── Retryable              a passing failure of something we depend on
│   └── ModelDied          ... and the guard's process went with this request under way: it may have killed it
└── Misconfigured          the operator must change a file or a setting; the process refuses to start

A message says what was found, what was expected and what to do. It holds no user content: it travels in headers and logs.
"""

from __future__ import annotations

from omniguard.domain.reason import Reason

__all__ = ["BadContent", "Misconfigured", "ModelDied", "OmniGuardError", "Poison", "Reason", "Retryable", "Unidentifiable"]


class OmniGuardError(Exception):
    """Base of every error that OmniGuard raises on purpose."""


class Misconfigured(OmniGuardError):
    """A setting, policy or tenant file is wrong."""


class Poison(OmniGuardError):
    """An input that no retry can save."""


class Unidentifiable(Poison):
    """Tenant, content id or version cannot be read, so no verdict can be addressed."""


class BadContent(Poison):
    """An identified upload that cannot be examined.

    `part` names the part at fault; None means the event as a whole.
    """

    def __init__(self, reason: Reason, message: str, *, part: str | None = None) -> None:
        """Keep the typed reason beside the message."""
        super().__init__(message)
        self.reason = reason
        self.part = part


class Retryable(OmniGuardError):
    """A dependency failed in a way that may pass."""

    def __init__(self, reason: Reason, message: str, *, part: str | None = None) -> None:
        """Keep the typed reason beside the message."""
        super().__init__(message)
        self.reason = reason
        self.part = part


class ModelDied(Retryable):
    """The guard's process died, or had to be replaced, with this request under way.

    `death` is the same word for every request that one death took.
    """

    def __init__(self, message: str, *, death: str) -> None:
        """Passing: the next process may answer."""
        super().__init__(Reason.GUARD_UNAVAILABLE, message)
        self.death = death
