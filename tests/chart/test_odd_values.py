"""Values that are odd and right: names that YAML reads as numbers, texts that would end a block, labels of several values."""

from __future__ import annotations

from typing import Any

import pytest

from chart.rendering import MATRIX, Object, documents, of, render, template, title
from chart.strict import faults

DIGEST = "0123456789abcdef" * 4
NUMBERS: dict[str, Any] = {
    "nameOverride": "1e3",
    "kafka": {
        "securityProtocol": "SASL_SSL",
        "existingSecret": "123",
        "keys": {"username": "true", "password": "1"},
        "ca": {"existingSecret": "1e3", "key": "0"},
    },
    "redis": {"url": "rediss://redis", "existingSecret": "7", "keys": {"password": "null"}},
    "objectStore": {"credentials": {"main": {"existingSecret": "8", "accessKeyIdKey": "1", "secretAccessKeyKey": "2"}}},
    "model": {
        "source": "download",
        "download": {
            "url": "https://store/m.tar",
            "sha256": DIGEST,
            "existingClaim": "1.5",
            "s3": {"existingSecret": "9", "accessKeyIdKey": "1"},
        },
    },
    "triton": {
        "runtimeClassName": "123",
        "tls": {"existingSecret": "4", "certificate": "1", "privateKey": "2", "ca": "3"},
        "restricted": {"existingSecret": "5", "valueKey": "1", "adminValueKey": "2"},
        "startup": {"seconds": 3_000_000},
        "autoscaling": {"enabled": True, "serverAddress": "http://p", "authenticationRef": "6", "selector": {"a": 'it\'s "b"'}},
    },
    "workers": {"common": {"priorityClassName": "123"}},
    "topics": {"wait": 3_000_000},
}
POLICY = {
    "lead": "  a: 1\n  b: 2\n",
    "quote": "a: \"'{{ .Values }}'\"\n",
    "return": "a: 1\r\nb: 2\n",
    "empty": "",
    "open": "a: 1",
}


def test_a_name_that_yaml_reads_as_a_number_stays_a_name() -> None:
    found = [f"{title(each)}: {fault}" for each in render(NUMBERS) for fault in faults(each)]
    assert found == []


def test_large_numbers_of_options_have_no_exponent() -> None:
    options = [word for each in of(render(NUMBERS), "Deployment") for word in _arguments(each)]
    assert {"--wait=3000000", "--load-timeout=3000000", "--stub-timeout=3000000"} <= set(options)


def _arguments(deployment: Object) -> list[str]:
    spec = deployment["spec"]["template"]["spec"]
    return [word for each in (*spec["containers"], *spec.get("initContainers", ())) for word in each["args"]]


@pytest.mark.parametrize("name", POLICY)
def test_the_text_of_a_policy_or_calibration_arrives_as_it_is(name: str) -> None:
    policy = {"policies": {"acme.yaml": POLICY[name]}, "calibration": POLICY[name]}
    (found,) = (each for each in of(render({"policy": policy}), "ConfigMap") if "tenants.yaml" in each["data"])
    assert found["data"]["acme.yaml"] == POLICY[name]
    assert found["data"].get("calibration.json", "") == POLICY[name]


def test_labels_that_several_values_give_stand_once() -> None:
    """A key that stands twice in a mapping is an error to a server-side apply; `documents` raises for one."""
    values = {
        "commonLabels": {"release": "prometheus", "team": "trust"},
        "monitoring": {"podMonitor": {"enabled": True, "labels": {"release": "prometheus-2"}}},
        "workers": {"common": {"podLabels": {"team": "safety"}}},
    }
    (monitor,) = of(rendered := render(values), "PodMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prometheus-2"
    workers = [each for each in of(rendered, "Deployment") if "worker" in each["metadata"]["name"]]
    assert {each["spec"]["template"]["metadata"]["labels"]["team"] for each in workers} == {"safety"}


@pytest.mark.parametrize(
    ("download", "port"),
    [
        ({"url": "https://store:8443/m.tar"}, 8443),
        ({"url": "https://store/a:80/m.tar"}, 443),
        ({"url": "s3://models/m.tar", "s3": {"endpoint": "http://store:9000"}}, 9000),
        ({"url": "s3://models/m.tar"}, 443),
    ],
    ids=str,
)
def test_the_model_may_be_fetched_from_where_its_url_says(download: dict[str, Any], port: int) -> None:
    found = render({"model": {"source": "download", "download": {**download, "sha256": DIGEST}}})
    (policy,) = (each for each in of(found, "NetworkPolicy") if each["metadata"]["name"].endswith("-triton"))
    assert policy["spec"]["egress"] == [{"ports": [{"port": port, "protocol": "TCP"}]}]


def test_each_digest_of_a_download_has_its_folder() -> None:
    """The model before it stays on a shared claim, for its own pods and a rollback; `model fetch` replaces nothing unasked."""
    folders = [_folder(digest) for digest in (DIGEST, DIGEST[::-1])]
    assert folders[0] != folders[1]


def _folder(digest: str) -> str:
    found = render(
        {"model": {"source": "download", "download": {"url": "https://store/m", "sha256": digest, "existingClaim": "m"}}}
    )
    (triton,) = (each for each in of(found, "Deployment") if each["metadata"]["name"].endswith("-triton"))
    (folder,) = (word.removeprefix("--to=") for word in _arguments(triton) if word.startswith("--to="))
    (config,) = (each for each in of(found, "ConfigMap") if "config.pbtxt" in each["data"])
    assert f'string_value: "{folder}"' in config["data"]["config.pbtxt"]
    return folder


@pytest.mark.parametrize(("release", "name"), [("a.b", "a-b-omniguard"), ("123", None)])
def test_a_release_whose_name_no_service_can_have(release: str, name: str | None) -> None:
    done = template("--values", str(MATRIX / "minimal.yaml"), release=release)
    if name is None:
        assert "fullnameOverride: found none for the release 123, expected one" in done.stderr
        return
    services = of(tuple(documents(done.stdout)), "Service")
    assert {each["metadata"]["name"] for each in services} == {f"{name}-triton-grpc", f"{name}-metrics"}
