"""Revisions are computed from the event, never read from a store."""

from __future__ import annotations

import hashlib

from omniguard.domain.content import Identity

STRIDE = 1_000_000
INDETERMINATE = 900_000
FINAL = 900_001
RETRACTED = 999_999
MAX_REQUEST = 2**31 - 2
RETRACTION_REQUEST = MAX_REQUEST + 1
"""A deletion outranks every request about the same version, past and to come; it still fits JSON's safe integers."""

RETRACTION_EPOCH = 2**31 - 1
"""A deletion outranks what any later policy says of the version: no epoch is larger."""


def revision(request: int, rank: int) -> int:
    """`rank` is the number of segments merged for a provisional verdict, else one of the constants above."""
    return request * STRIDE + rank


def provisional(request: int, merged: int) -> int:
    """Revision of a provisional verdict over `merged` segments, always below an indeterminate one."""
    return revision(request, min(merged, INDETERMINATE - 1))


def verdict_id(identity: Identity, policy_epoch: int, number: int) -> str:
    """The same upload, policy epoch and revision always give the same id, so a redelivery repeats it."""
    parts = (identity.tenant, identity.content_id, str(identity.content_version), str(policy_epoch), str(number))
    digest = hashlib.sha256("\x00".join(parts).encode()).hexdigest()
    return f"v-{digest[:32]}"
