"""k8s/: rendered from the chart, and each overlay as valid as the chart's own renders."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from chart import test_configuration, test_restricted
from chart.pods import matches, pods
from chart.rendering import ROOT, Object, documents, of, title
from chart.strict import faults
from helm import helm, kubectl
from omniguard.contracts.tenants_file import load_tenants

OVERLAYS = sorted(path.name for path in (ROOT / "k8s/overlays").iterdir())


@cache
def built(overlay: str) -> tuple[Object, ...]:
    """All objects of an overlay."""
    done = subprocess.run([kubectl(), "kustomize", ROOT / "k8s/overlays" / overlay], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr
    return tuple(documents(done.stdout))


def test_there_is_one_for_each_need() -> None:
    assert {"dev", "single-gpu", "production"} <= set(OVERLAYS)


def test_the_manifests_are_what_the_chart_renders() -> None:
    command = [sys.executable, "-m", "deploy.manifests", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "HELM": str(helm())})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_is_valid_for_each_release(overlay: str) -> None:
    found = {title(each): wrong for each in built(overlay) if (wrong := faults(each))}
    assert not found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_pass_the_restricted_standard(overlay: str) -> None:
    test_restricted.check_restricted(built(overlay))
    for pod in pods(built(overlay)):
        mounted = {mount["name"] for each in pod.containers for mount in each["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod.spec["volumes"]}, pod.owner


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_objects_belong_together(overlay: str) -> None:
    objects = built(overlay)
    assert len({each["metadata"]["namespace"] for each in objects}) == 1
    names = {each["metadata"]["name"] for each in of(objects, "ConfigMap")}
    for pod in pods(objects):
        assert {volume["configMap"]["name"] for volume in pod.spec["volumes"] if "configMap" in volume} <= names
    for each in of(objects, "Deployment", "PodDisruptionBudget"):
        taken = [pod.owner for pod in pods(objects) if matches(each["spec"]["selector"], pod.labels)]
        assert len(taken) == 1, title(each)
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in of(objects, "ScaledObject")}
    for each in of(objects, "Deployment"):
        assert ("replicas" in each["spec"]) != (each["metadata"]["name"] in scaled), title(each)
    services = {each["metadata"]["name"] for each in of(objects, "Service")}
    for pod in pods(objects):
        for each in (one for container in pod.containers for one in container.get("env", [])):
            if each["name"] == "OMNIGUARD_TRITON__ADDRESSES":
                assert each["value"].partition(":")[0] in services, "a name without its namespace, which an overlay chooses"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_program_takes_its_variables(overlay: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for pod in pods(built(overlay)):
        for container in (each for each in pod.containers if "/worker" in each["image"]):
            test_configuration.check_settings(pod, container, tmp_path, monkeypatch)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_brokers_are_behind_an_open_port(overlay: str) -> None:
    (policy,) = (each for each in of(built(overlay), "NetworkPolicy") if each["metadata"]["name"] == "omniguard-kafka")
    (rule,) = policy["spec"]["egress"]
    ports = {str(port["port"]) for port in rule["ports"]}
    said = {
        each["value"].rpartition(":")[2]
        for pod in pods(built(overlay))
        for container in pod.containers
        for each in container.get("env", [])
        if each["name"] == "OMNIGUARD_KAFKA__BOOTSTRAP"
    }
    assert said == ports


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_tenants_are_ones_that_a_worker_loads(overlay: str, tmp_path: Path) -> None:
    (policy,) = (each for each in of(built(overlay), "ConfigMap") if "tenants.yaml" in each["data"])
    (tmp_path / "tenants.yaml").write_text(policy["data"]["tenants.yaml"])
    assert load_tenants(tmp_path / "tenants.yaml")


def test_what_an_overlay_is_for_is_there() -> None:
    engines = {}
    for overlay in OVERLAYS:
        (model,) = (each for each in of(built(overlay), "ConfigMap") if "config.pbtxt" in each["data"])
        engines[overlay] = re.findall(r'key: "engine" value: { string_value: "(\w+)" }', model["data"]["config.pbtxt"])
    assert engines == {"dev": ["lite"], "production": ["vllm"], "single-gpu": ["vllm"]}
    tritons = {
        overlay: next(each for each in of(built(overlay), "Deployment") if "triton" in title(each)) for overlay in OVERLAYS
    }
    assert tritons["production"]["spec"]["replicas"] == 3
    assert tritons["single-gpu"]["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert tritons["single-gpu"]["spec"]["template"]["spec"]["runtimeClassName"] == "nvidia"
    assert "nvidia" not in str(tritons["dev"])
    assert not [each for each in of(built("single-gpu"), "PodDisruptionBudget") if "triton" in title(each)]
