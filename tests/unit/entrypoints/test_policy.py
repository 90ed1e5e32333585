from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from omniguard.contracts.policy_file import SHIPPED, shipped_names
from omniguard.entrypoints.cli import app

run = CliRunner().invoke


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_policies_are_right_and_can_be_shown(name: str) -> None:
    assert run(app, ["policy", "check", str(SHIPPED / f"{name}.yaml")]).exit_code == 0
    shown = run(app, ["policy", "show", name, "--json"])
    assert json.loads(shown.stdout)["id"] == name
    assert run(app, ["policy", "show", name]).exit_code == 0


def test_every_mistake_of_every_file_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(
        (SHIPPED / "default.yaml").read_text().replace("fallback: review", "fallback: maybe").replace("version: 1", "version: 0")
    )
    result = run(app, ["policy", "check", str(SHIPPED / "default.yaml"), str(wrong)])
    assert result.exit_code == 1
    assert result.output.count(f"{wrong}:") == 2
    listed = json.loads(run(app, ["policy", "check", "--json", str(wrong)]).stdout)
    assert len(listed[0]["mistakes"]) == 2


def test_a_tenants_file_needs_its_variables() -> None:
    tenants = str(SHIPPED / "tenants-demo.yaml")
    assert run(app, ["policy", "check", tenants]).exit_code == 1
    assert run(app, ["policy", "check", tenants, "--root", "SAMPLES=/srv/samples"]).exit_code == 0
    assert run(app, ["policy", "check", tenants, "--root", "SAMPLES"]).exit_code == 2


def test_s3_credentials_that_are_not_set_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tenants = tmp_path / "tenants.yaml"
    bucket = "fetch: {s3: [{bucket: uploads, credentials: minio}, {bucket: open-data}]}"
    tenants.write_text(f"tenants: {{acme: {{policy: default, policy_epoch: 1, {bucket}}}}}")
    told = run(app, ["policy", "check", str(tenants)])
    assert told.exit_code == 0
    assert "s3 credentials minio are not set here; a worker does not start without OMNIGUARD_S3__MINIO__*" in told.stderr
    assert json.loads(run(app, ["policy", "check", "--json", str(tenants)]).stdout)[0]["credentials_not_set"] == ["minio"]
    monkeypatch.setenv("OMNIGUARD_S3__MINIO__ACCESS_KEY_ID", "a")
    monkeypatch.setenv("OMNIGUARD_S3__MINIO__SECRET_ACCESS_KEY", "b")
    assert run(app, ["policy", "check", str(tenants)]).stderr == ""


def test_showing_an_unknown_policy_is_a_wrong_call() -> None:
    assert run(app, ["policy", "show", "no-such-policy"]).exit_code == 2
