"""What the chart ships of the package is the package's: version, alerts, dashboards, topics, rights, the model's settings."""

from __future__ import annotations

import json
import subprocess
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from chart.rendering import CHART, ROOT, Object, of, rendered
from omniguard.contracts.rights import rights
from omniguard.contracts.topics import Component, Topics
from promtool import promtool

TOPIC_FIELDS = {"topicName", "partitions", "replicas", "config"}
USER_FIELDS = {"authentication", "authorization"}
"""No package ships Strimzi's CRDs: these are the fields of its KafkaTopic and KafkaUser, stated by hand."""


def test_chart_and_package_have_one_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = YAML(typ="safe").load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (version, version)
    assert "dependencies" not in chart, "Kafka and Redis are the operator's own"


@pytest.mark.parametrize("name", ["production", "everything"])
def test_the_alerts_are_the_packages(name: str, tmp_path: Path) -> None:
    (rule,) = of(rendered(name), "PrometheusRule")
    path = tmp_path / "rules.yaml"
    YAML(typ="safe").dump(rule["spec"], path)
    done = subprocess.run([promtool(), "check", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    ours = YAML(typ="safe").load(files("omniguard.observability").joinpath("alerts.yaml").read_text())
    found = [each for group in rule["spec"]["groups"] for each in group["rules"]]
    assert [_without_links(each) for each in found] == [
        _without_links(each) for group in ours["groups"] for each in group["rules"]
    ]
    links = [each["annotations"]["runbook_url"] for each in found if "alert" in each]
    assert links
    assert all(link.startswith("https://runbooks.example.org/omniguard/docs/runbook.md#") for link in links)


def _without_links(rule: dict[str, Any]) -> dict[str, Any]:
    return {**rule, "annotations": {key: text for key, text in rule.get("annotations", {}).items() if key != "runbook_url"}}


def test_the_dashboards_are_the_packages() -> None:
    folder = Path(str(files("omniguard.observability"))) / "dashboards"
    linked = "docs/runbook.md", "https://runbooks.example.org/omniguard/docs/runbook.md"
    ours = {path.name: json.loads(path.read_text().replace(*linked)) for path in folder.glob("*.json")}
    found = {name: json.loads(text) for each in _dashboards(rendered("production")) for name, text in each["data"].items()}
    assert found == ours
    for each in _dashboards(rendered("production")):
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert each["metadata"]["namespace"] == "monitoring"
        assert each["metadata"]["annotations"]["grafana_folder"] == "Moderation"
        assert len(json.dumps(each)) < 2**20, "a ConfigMap holds a MiB"


def _dashboards(objects: tuple[Object, ...]) -> list[Object]:
    return [each for each in of(objects, "ConfigMap") if "-dashboard-" in each["metadata"]["name"]]


@pytest.mark.parametrize(("name", "prefix"), [("strimzi", ""), ("strimzi-tls", "staging."), ("everything", "prod.")])
def test_strimzi_is_told_of_the_topics_that_the_code_declares(name: str, prefix: str) -> None:
    found = {each["spec"]["topicName"]: each for each in of(rendered(name), "KafkaTopic")}
    declared = {topic.name: topic for topic in Topics(prefix).all}
    assert found.keys() == declared.keys()
    for called, each in found.items():
        assert each["spec"].keys() == TOPIC_FIELDS
        assert each["metadata"]["labels"]["strimzi.io/cluster"] == "main"
        assert {key: str(value) for key, value in each["spec"]["config"].items()} == declared[called].configs
        assert all(isinstance(value, str | int) for value in each["spec"]["config"].values())
    partitions = {called: each["spec"]["partitions"] for called, each in found.items()}
    wanted = {called: topic.partitions for called, topic in declared.items()}
    if name == "everything":
        wanted[f"{prefix}content-events.late"] = 8
    assert partitions == wanted


@pytest.mark.parametrize(("name", "prefix"), [("strimzi", ""), ("strimzi-tls", "staging."), ("everything", "prod.")])
def test_strimzi_gives_each_component_the_rights_that_the_code_declares(name: str, prefix: str) -> None:
    found = {each["metadata"]["labels"]["app.kubernetes.io/component"]: each for each in of(rendered(name), "KafkaUser")}
    ours = {component.value for component in Component if component.value.startswith("worker-")}
    assert ours <= found.keys()
    assert found.keys() <= ours | {"operator", "probe"}
    for called, each in found.items():
        assert each["spec"].keys() == USER_FIELDS
        assert each["metadata"]["labels"]["strimzi.io/cluster"] == "main"
        assert each["spec"]["authentication"] == {"type": "tls" if name == "strimzi-tls" else "scram-sha-512"}
        assert each["spec"]["authorization"]["type"] == "simple"
        acls = {
            (acl["resource"]["type"], acl["resource"]["name"], acl["resource"]["patternType"], tuple(acl["operations"]))
            for acl in each["spec"]["authorization"]["acls"]
        }
        if called in {component.value for component in Component}:
            declared = rights(Topics(prefix), Component(called))
            assert acls == {(right.resource, right.name, "literal", right.operations) for right in declared}
        assert not [acl for acl in acls if acl[1] in ("*", "")], f"{called} may do more than its part"


def test_pods_log_in_with_the_users_that_strimzi_makes() -> None:
    users = {each["metadata"]["name"] for each in of(rendered("strimzi"), "KafkaUser")}
    secrets = set()
    for each in of(rendered("strimzi"), "Deployment"):
        for volume in each["spec"]["template"]["spec"]["volumes"]:
            secrets |= {source["secret"]["name"] for source in volume.get("projected", {}).get("sources", [])}
    assert secrets - {"main-cluster-ca-cert"} <= users
    assert any(name.endswith("worker-live") for name in secrets)


@pytest.mark.parametrize(
    ("name", "engine", "model"),
    [
        ("minimal", "vllm", "/checkpoint"),
        ("production", "vllm", "/checkpoint/OmniGuard-7B"),
        ("everything", "transformers", "/checkpoint/OmniGuard-7B"),
        ("lite", "lite", None),
    ],
)
def test_the_models_configuration_is_the_repositorys_with_other_parameters(name: str, engine: str, model: str | None) -> None:
    (given,) = (each for each in of(rendered(name), "ConfigMap") if "config.pbtxt" in each.get("data", {}))
    ours = (ROOT / "model_repository/omniguard/config.pbtxt").read_text()
    text = given["data"]["config.pbtxt"]
    shared = [line for line in ours.splitlines() if line.strip() and not line.startswith(("#", "parameters"))]
    assert all(line in text for line in shared)
    assert f'parameters {{ key: "engine" value: {{ string_value: "{engine}" }} }}' in text
    assert (f'key: "model" value: {{ string_value: "{model}" }}' in text) is (model is not None)
    assert text.count("parameters {") == len({line for line in text.splitlines() if line.startswith("parameters")})
