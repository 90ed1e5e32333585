"""The tenant that every worker has."""

from __future__ import annotations

from pathlib import Path

import pytest

from omniguard.consume import is_probe
from omniguard.contracts.policy_file import named_policy
from omniguard.contracts.tenants_file import load_tenants
from omniguard.domain.content import Modality
from omniguard.domain.fetching import FetchRules
from omniguard.domain.tenant import RESERVED, Tenant
from unit.entrypoints.test_watch import verdict


@pytest.fixture(params=["tenants: {acme: {policy: lite-demo, policy_epoch: 1}}", "default: {policy: lite-demo, policy_epoch: 3}"])
def tenant(request: pytest.FixtureRequest, tmp_path: Path) -> Tenant:
    file = tmp_path / "tenants.yaml"
    file.write_text(request.param)
    found = load_tenants(file).find(RESERVED)
    assert found is not None
    return found


def test_it_is_there_unlisted_and_is_not_the_default(tenant: Tenant) -> None:
    assert (tenant.name, tenant.enforce, tenant.quota, tenant.policy_epoch) == ("_omniguard", False, 5.0, 1)


def test_it_may_fetch_nothing(tenant: Tenant) -> None:
    assert tenant.fetch == FetchRules(public_http=False, max_bytes=64 * 1024)


def test_its_policy_asks_what_the_default_asks_and_requires_of_text_the_test_alone(tenant: Tenant) -> None:
    default = named_policy("default", Path())
    assert tenant.policy.prompt_digest == default.prompt_digest
    assert tenant.policy.digest != default.digest
    assert tenant.policy.required == {**default.required, Modality.TEXT: frozenset({"test"})}
    assert not tenant.policy.critique_for


def test_who_enforces_can_tell_its_verdicts() -> None:
    assert is_probe(verdict(tenant=RESERVED))
    assert not is_probe(verdict(tenant="acme"))
