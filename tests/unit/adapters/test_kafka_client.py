from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from omniguard.adapters.kafka_client import client_options
from omniguard.errors import Misconfigured
from omniguard.settings import KafkaSettings


def test_plaintext_has_neither_tls_nor_login() -> None:
    options = client_options(KafkaSettings(bootstrap="a:1,b:2"))
    assert options == {"bootstrap_servers": "a:1,b:2", "security_protocol": "PLAINTEXT", "ssl_context": None}


def test_sasl_over_tls() -> None:
    settings = KafkaSettings.model_validate(
        {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-256", "username": "omniguard", "password": "hunter2"}
    )
    options = client_options(settings)
    assert options["sasl_plain_password"] == "hunter2"
    assert options["sasl_mechanism"] == "SCRAM-SHA-256"
    context = options["ssl_context"]
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_a_host_name_may_differ_but_the_certificate_is_still_checked() -> None:
    context = client_options(KafkaSettings(security_protocol="SSL", check_hostname=False))["ssl_context"]
    assert not context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_an_unreadable_certificate_is_the_operators_to_mend(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="No such file or directory"):
        client_options(KafkaSettings(security_protocol="SSL", ca_file=tmp_path / "none.pem"))
    (tmp_path / "bad.pem").write_text("not PEM")
    with pytest.raises(Misconfigured, match="expected readable PEM"):
        client_options(KafkaSettings(security_protocol="SSL", ca_file=tmp_path / "bad.pem"))
