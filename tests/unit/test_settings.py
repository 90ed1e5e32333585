from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import pytest

from omniguard.errors import Misconfigured
from omniguard.media.limits import DecodeLimits
from omniguard.media.sandbox import PARTS
from omniguard.observability.metrics import GAUGES
from omniguard.settings import KafkaSettings, SandboxPart, Settings, load_settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("OMNIGUARD_") and "__" in name:
            monkeypatch.delenv(name)


def test_defaults_stand_alone() -> None:
    settings = load_settings()
    assert settings.worker.event_time_limit == 30
    assert settings.worker.health_host == "127.0.0.1"
    assert settings.redis.url is None


def test_environment_and_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNIGUARD_TRITON__ADDRESSES", "a:1, b:2,")
    monkeypatch.setenv("OMNIGUARD_WORKER__LANE", "late")
    monkeypatch.setenv("OMNIGUARD_KAFKA__BOOTSTRAP", "k:9092")
    settings = load_settings(kafka={"topic_prefix": "t."}, worker={"window_events": 4})
    assert settings.triton.addresses == ("a:1", "b:2")
    assert (settings.worker.lane, settings.worker.event_time_limit, settings.worker.window_events) == ("late", None, 4)
    assert (settings.kafka.bootstrap, settings.kafka.topic_prefix) == ("k:9092", "t.")


def test_a_secret_comes_from_a_file_and_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hunter2\n")
    kafka = load_settings(
        kafka={"security_protocol": "SASL_SSL", "username": "omniguard", "password_file": str(file)},
        redis={"url": "redis://:hunter2@host:6379/0"},
    )
    assert kafka.kafka.password is not None
    assert kafka.kafka.password.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(kafka) + str(kafka) + kafka.model_dump_json()


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ({"kafka": {"pasword": "hunter2"}}, "OMNIGUARD_KAFKA__PASWORD: Extra inputs"),
        ({"kafka": {"password": "hunter2", "password_file": "/x"}}, "found both password and password_file"),
        ({"kafka": {"password_file": "/does/not/exist"}}, "password_file cannot be read (No such file or directory)"),
        ({"kafka": {"security_protocol": "SASL_SSL", "password": "hunter2"}}, "SASL found without username or password"),
        ({"kafka": {"cert_file": "/x"}}, "found one of cert_file and key_file"),
        ({"redis": {"url": "http://:hunter2@host"}}, "found a url of another scheme, expected redis://"),
        ({"redis": {"url": "redis://:hunter2@host", "ca_file": "/x"}}, "found ca_file or cert_file beside a url without TLS"),
        ({"redis": {"url": "rediss://:hunter2@host", "key_file": "/x"}}, "found one of cert_file and key_file"),
        ({"triton": {"ca_file": "/x"}}, "found ca_file or cert_file without tls"),
        ({"triton": {"tls": True, "cert_file": "/x"}}, "found one of cert_file and key_file"),
        ({"triton": {"restricted_key": "A b"}}, "OMNIGUARD_TRITON__RESTRICTED_KEY: String should match pattern"),
        ({"worker": {"window_events": 0}}, "OMNIGUARD_WORKER__WINDOW_EVENTS: Input should be greater than or equal to 1"),
        ({"worker": {"drain_timeout": 60}}, "less than 60"),
        ({"triton": {"addresses": " , "}}, "OMNIGUARD_TRITON__ADDRESSES"),
        ({"cascade": {"model": "omniguard_lite"}}, "found model without salt"),
        ({"cascade": {"share": 1.0}}, "less than 1"),
        ({"worker": {"critique_tokens": 32}}, "found critique_tokens_least above critique_tokens"),
        ({"surprise": {}}, "SURPRISE"),
    ],
)
def test_what_is_wrong_is_named_and_no_value_shown(groups: dict[str, dict[str, object]], says: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        load_settings(**groups)
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_misspelt_group_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNIGUARD_KAFFKA__BOOTSTRAP", "k:9092")
    with pytest.raises(Misconfigured, match="found OMNIGUARD_KAFFKA__BOOTSTRAP, expected names of docs"):
        load_settings()


def test_what_kubernetes_makes_for_a_service_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNIGUARD_PORT", "tcp://10.0.0.1:8080")
    monkeypatch.setenv("OMNIGUARD_SERVICE_HOST", "10.0.0.1")
    assert load_settings().worker.health_port == 8080


def test_a_group_that_is_no_group_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNIGUARD_KAFKA", "hunter2")
    with pytest.raises(Misconfigured) as caught:
        load_settings()
    assert "kafka" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        KafkaSettings().bootstrap = "other"  # type: ignore[misc]


def test_limits_of_decoding_default_to_those_that_the_tests_run_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNIGUARD_DECODE__MAX_STREAMS", "3")
    assert DecodeLimits(**Settings().decode.model_dump()) == DecodeLimits(max_streams=3)


def test_parts_of_the_sandbox_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert get_args(SandboxPart) == PARTS == GAUGES["omniguard_decoder_sandbox"].labels["part"]
    monkeypatch.setenv("OMNIGUARD_WORKER__SANDBOX_REQUIRED", "seccomp, landlock")
    assert load_settings().worker.sandbox_required == ("seccomp", "landlock")
    monkeypatch.setenv("OMNIGUARD_WORKER__SANDBOX_REQUIRED", "walls")
    with pytest.raises(Misconfigured, match="SANDBOX_REQUIRED"):
        load_settings()
