"""Credentials are named as the variables that hold them are: without regard to case."""

from __future__ import annotations

from pathlib import Path

import pytest

from omniguard.contracts.tenants_file import load_tenants
from omniguard.settings import Settings


@pytest.mark.parametrize("named", ["uploads", "UPLOADS", "Uploads"])
def test_the_settings_have_what_a_tenant_names(named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = f"{{bucket: uploads, credentials: {named}}}"
    file = tmp_path / "tenants.yaml"
    file.write_text(f"tenants: {{acme: {{policy: default, policy_epoch: 1, fetch: {{s3: [{source}]}}}}}}")
    monkeypatch.setenv("OMNIGUARD_KAFKA__BOOTSTRAP", "broker:9092")
    monkeypatch.setenv("OMNIGUARD_S3__UPLOADS__ACCESS_KEY_ID", "id")
    monkeypatch.setenv("OMNIGUARD_S3__UPLOADS__SECRET_ACCESS_KEY", "key")
    assert set(load_tenants(file).credentials) == set(Settings().s3)
