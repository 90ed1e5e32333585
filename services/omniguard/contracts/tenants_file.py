"""The tenants file: `load_tenants` reads it together with every policy that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, Strict, StrictBool, StrictInt, StrictStr, StringConstraints
from pydantic_core import PydanticCustomError

from omniguard.contracts import fields
from omniguard.contracts.policy_file import is_file_name, named_policy, shipped_names
from omniguard.contracts.reserved_tenant import reserved_tenant
from omniguard.contracts.yaml_file import FileModel, Loc, Mistake, YamlFile, show
from omniguard.domain.fetching import FetchRules, S3Source
from omniguard.domain.policy import Action, Policy
from omniguard.domain.tenant import RESERVED, Tenant, Tenants

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_DEFAULTS = FetchRules()


def _network(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError:
        raise PydanticCustomError("network", "expected a network in CIDR form without host bits, like 10.0.0.0/8") from None


Host = Annotated[StrictStr, StringConstraints(pattern=r"^[A-Za-z0-9.-]{1,253}$", to_lower=True)]
Network = Annotated[StrictStr, AfterValidator(_network)]


class S3File(FileModel):
    """A bucket, or a prefix in it. `credentials` names a set of credentials in the worker's settings; it never holds one.

    The name is read without regard to case, as the variables are that hold the set.
    """

    bucket: Annotated[StrictStr, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    prefix: StrictStr = ""
    endpoint: Annotated[StrictStr, StringConstraints(pattern=r"^https?://[^\s/]+/?$")] | None = None
    region: StrictStr | None = None
    credentials: Annotated[StrictStr, StringConstraints(to_lower=True)] | None = None


class FetchFile(FileModel):
    """Where a tenant's media may come from."""

    public_http: StrictBool = _DEFAULTS.public_http
    hosts: tuple[Host, ...] = ()
    networks: tuple[Network, ...] = ()
    s3: tuple[S3File, ...] = ()
    file_roots: tuple[StrictStr, ...] = ()
    max_redirects: Annotated[StrictInt, Field(ge=0, le=10)] = _DEFAULTS.max_redirects
    max_bytes: Annotated[StrictInt, Field(ge=1)] = _DEFAULTS.max_bytes


class TenantFile(FileModel):
    """One tenant. `policy` is a shipped policy's name, or a path ending in .yaml, relative to this file."""

    policy: Annotated[StrictStr, Field(min_length=1)]
    policy_epoch: Annotated[StrictInt, Field(ge=0, le=2**31 - 1)]
    fallback: Action | None = None
    quota: Annotated[float, Strict(), Field(gt=0, le=1e9)] | None = None
    fetch: FetchFile = FetchFile()
    enforce: StrictBool = True
    trust_claimed_sha256: StrictBool = False


class TenantsFile(FileModel):
    """All tenants; `default` serves those that are not listed, and without it they are turned away."""

    default: TenantFile | None = None
    tenants: dict[fields.Tenant, TenantFile] = {}


def load_tenants(path: Path, variables: Mapping[str, str] | None = None) -> Tenants:
    """Read the tenants file and the policies that it names. The reserved tenant is there beside those that it lists.

    Args:
        path: the file.
        variables: what `${NAME}` stands for in `file_roots`, and only there. The environment is not consulted.

    Raises:
        Misconfigured: one line for each mistake, of this file or of a policy's.

    """
    file = YamlFile(path)
    model = file.load(TenantsFile)
    sections: dict[str, tuple[Loc, TenantFile]] = {name: (("tenants", name), t) for name, t in model.tenants.items()}
    if model.default is not None:
        sections[""] = (("default",), model.default)
    mistakes = [m for loc, section in sections.values() for m in _mistakes(loc, section, path, variables or {})]
    if not sections:
        mistakes.append(Mistake(("tenants",), "no tenant", "at least one tenant or a default", "list them under `tenants`"))
    if mistakes:
        raise file.refuse(mistakes)
    policies = {t.policy: named_policy(t.policy, path.parent) for _, t in sections.values()}
    loaded = {name: _tenant(name, section, policies[section.policy], variables or {}) for name, (_, section) in sections.items()}
    return Tenants({**{name: t for name, t in loaded.items() if name}, RESERVED: reserved_tenant()}, loaded.get(""))


def _tenant(name: str, section: TenantFile, policy: Policy, variables: Mapping[str, str]) -> Tenant:
    fetch = section.fetch
    return Tenant(
        name=name,
        policy=policy if section.fallback is None else replace(policy, fallback=section.fallback),
        policy_epoch=section.policy_epoch,
        quota=section.quota,
        fetch=FetchRules(
            public_http=fetch.public_http,
            hosts=fetch.hosts,
            networks=fetch.networks,
            s3=tuple(S3Source(s.bucket, s.prefix, s.endpoint, s.region, s.credentials) for s in fetch.s3),
            file_roots=tuple(_fill(root, variables) for root in fetch.file_roots),
            max_redirects=fetch.max_redirects,
            max_bytes=fetch.max_bytes,
        ),
        enforce=section.enforce,
        trust_claimed_sha256=section.trust_claimed_sha256,
    )


def _mistakes(loc: Loc, section: TenantFile, path: Path, variables: Mapping[str, str]) -> Iterator[Mistake]:
    if loc == ("tenants", RESERVED):
        yield Mistake(loc, RESERVED, "names of your own: this tenant is built in, for `omniguard probe`", "take it out")
    if not is_file_name(section.policy) and section.policy not in shipped_names():
        expected = f"a shipped policy ({', '.join(shipped_names())}) or a path ending in .yaml"
        yield Mistake((*loc, "policy"), show(section.policy), expected, "correct the name")
    if is_file_name(section.policy) and not (path.parent / section.policy).is_file():
        yield Mistake((*loc, "policy"), show(section.policy), "a file, relative to the folder of this one", "correct the path")
    for i, root in enumerate(section.fetch.file_roots):
        where = (*loc, "fetch", "file_roots", i)
        unknown = [name for name in _VARIABLE.findall(root) if name not in variables]
        if unknown:
            known = ", ".join(sorted(variables)) or "none"
            yield Mistake(
                where, show(root), f"a variable that was given (given: {known})", "name it when loading, or write the path"
            )
        elif not _fill(root, variables).startswith("/"):
            yield Mistake(where, show(root), "an absolute path", "write it from the root")


def _fill(root: str, variables: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: variables.get(match[1], match[0]), root)
