"""Where a tenant's media may come from, and how large they may be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class S3Source:
    """A bucket prefix the operator listed for a tenant. Credentials are named, never held, here."""

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    credentials: str | None = None


@dataclass(frozen=True, slots=True)
class FetchRules:
    """One tenant's rules.

    `hosts` and `networks` (CIDR) may be reached although they are not public. `file_roots` are the only folders that
    `file://` may read. `max_bytes` counts the bytes read, whatever a header says; `max_redirects` is 0 unless the
    operator raised it.
    """

    public_http: bool = True
    hosts: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    s3: tuple[S3Source, ...] = ()
    file_roots: tuple[str, ...] = ()
    max_redirects: int = 0
    max_bytes: int = 512 * 1024 * 1024
