"""The reserved tenant as every worker has it, without a line in any file."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from omniguard.contracts.policy_file import named_policy
from omniguard.domain.content import Modality
from omniguard.domain.fetching import FetchRules
from omniguard.domain.taxonomy import TEST
from omniguard.domain.tenant import RESERVED, Tenant

QUOTA = 5.0
"""Events per second and worker: probes need few, and whoever else may publish gets no way round a quota by this name."""
MAX_BYTES = 64 * 1024


@lru_cache(maxsize=1)
def reserved_tenant() -> Tenant:
    """The guard is asked what the shipped default policy asks, so a probe takes the way of real uploads.

    Required on text is `test` alone: a guard that assesses less than the default policy wants can still be proved to work. On
    media, which no probe sends, all is required as there: this name gets nobody's picture allowed that was not examined. There
    are no critiques, nothing is fetched, and no verdict is to be enforced.
    """
    default = named_policy("default", Path())
    required = {**default.required, Modality.TEXT: frozenset({TEST})}
    digest = hashlib.sha256(f"{default.digest} {RESERVED}".encode()).hexdigest()
    policy = replace(
        default, id=RESERVED, digest=digest, required=required, critique_for=frozenset(), critique_sample=0.0, cascade=None
    )
    return Tenant(
        RESERVED, policy, policy_epoch=1, quota=QUOTA, fetch=FetchRules(public_http=False, max_bytes=MAX_BYTES), enforce=False
    )
