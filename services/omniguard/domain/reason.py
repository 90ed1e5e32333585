"""Why a judgement can be missing."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a verdict is indeterminate. `passing` reasons may be gone a minute later."""

    # The content itself: asking again gives the same answer.
    INVALID_EVENT = "invalid_event"
    UNSUPPORTED = "unsupported"
    HASH_MISMATCH = "hash_mismatch"
    TYPE_MISMATCH = "type_mismatch"
    TOO_LARGE = "too_large"
    TOO_LONG = "too_long"
    DAMAGED = "damaged"
    NOT_FOUND = "not_found"
    FORBIDDEN = "forbidden"
    NOT_ASSESSED = "not_assessed"
    CRASH_SUSPECT = "crash_suspect"
    DECODER_CRASHED = "decoder_crashed"
    UNKNOWN_TENANT = "unknown_tenant"
    INTERNAL = "internal_error"  # a bug of ours; the dead letter says which stage
    # What we depend on: worth another look from the late lane.
    DEADLINE = "deadline"
    FETCH_FAILED = "fetch_failed"
    GUARD_UNAVAILABLE = "guard_unavailable"
    GUARD_FAILED = "guard_failed"

    @property
    def passing(self) -> bool:
        """True if a later look may succeed."""
        return self in _PASSING


_PASSING = frozenset({Reason.DEADLINE, Reason.FETCH_FAILED, Reason.GUARD_UNAVAILABLE, Reason.GUARD_FAILED})
