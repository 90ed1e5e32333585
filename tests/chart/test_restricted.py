"""Every pod passes the Pod Security Standard `restricted`, field by field, and is tighter where the standard is silent."""

from __future__ import annotations

from typing import Any

import pytest

from chart.pods import PodTemplate, pods
from chart.rendering import Object, matrix, render, rendered

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret", "image"}
"""`image` is in the standard since Kubernetes 1.33, which is the first whose kubelet mounts one unasked."""


def _settings(pod: PodTemplate, container: dict[str, Any], name: str) -> Any:
    """A security setting of a container: its own, else its pod's."""
    own = container.get("securityContext", {})
    return own[name] if name in own else pod.spec.get("securityContext", {}).get(name)


@pytest.mark.parametrize("name", matrix())
def test_pods_pass_the_restricted_standard(name: str) -> None:
    check_restricted(rendered(name))


def check_restricted(objects: tuple[Object, ...]) -> None:
    """Every field that the standard speaks of, of every pod."""
    for pod in pods(objects):
        _check_pod(pod)
        for container in pod.containers:
            _check_container(pod, container)


def _check_pod(pod: PodTemplate) -> None:
    where, spec = pod.owner, pod.spec
    for shared in ("hostNetwork", "hostPID", "hostIPC"):
        assert not spec.get(shared), f"{where}: {shared}"
    for volume in spec.get("volumes", []):
        assert volume.keys() - {"name"} <= VOLUMES, f"{where}: {volume}"
    context = spec["securityContext"]
    assert context["runAsNonRoot"] is True, where
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}, where
    assert "sysctls" not in context, where
    assert "seLinuxOptions" not in context, where
    assert context.get("windowsOptions", {}).get("hostProcess") is not True, where


def _check_container(pod: PodTemplate, container: dict[str, Any]) -> None:
    where, context = f"{pod.owner}, {container['name']}", container["securityContext"]
    assert not context.get("privileged"), where
    assert context["allowPrivilegeEscalation"] is False, where
    assert context["capabilities"] == {"drop": ["ALL"]}, where
    assert _settings(pod, container, "runAsNonRoot") is True, where
    assert isinstance(_settings(pod, container, "runAsUser"), int), f"{where}: a name as the image's user cannot be checked"
    assert _settings(pod, container, "runAsUser") > 0, where
    assert _settings(pod, container, "seccompProfile") == {"type": "RuntimeDefault"}, where
    assert context.get("procMount", "Default") == "Default", where
    assert not any("hostPort" in port for port in container.get("ports", [])), where
    asked = [container[kind] for kind in ("startupProbe", "readinessProbe", "livenessProbe") if kind in container]
    asked += container.get("lifecycle", {}).values()
    assert not any("host" in way for each in asked for way in each.values() if isinstance(way, dict)), where


@pytest.mark.parametrize(
    "wrong",
    [
        {"podSecurityContext": {"runAsNonRoot": False}},
        {"podSecurityContext": {"runAsUser": 0}},
        {"podSecurityContext": {"seccompProfile": {"type": "Unconfined"}}},
        {"podSecurityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
        {"securityContext": {"allowPrivilegeEscalation": True}},
        {"securityContext": {"privileged": True}},
        {"securityContext": {"capabilities": {"add": ["NET_RAW"]}}},
        {"securityContext": {"procMount": "Unmasked"}},
        {"workers": {"common": {"extraVolumes": [{"name": "host", "hostPath": {"path": "/"}}]}}},
    ],
    ids=str,
)
def test_what_the_standard_forbids_is_found(wrong: dict[str, Any]) -> None:
    """The checks above can fail; values are the user's to change."""
    objects = render(wrong)
    with pytest.raises(AssertionError):
        check_restricted(objects)


@pytest.mark.parametrize("name", matrix())
def test_pods_are_tighter_than_the_standard(name: str) -> None:
    for pod in pods(rendered(name)):
        assert pod.spec["automountServiceAccountToken"] is False, f"{pod.owner}: nothing of ours asks the API server"
        assert pod.spec["enableServiceLinks"] is False, f"{pod.owner}: a Service's variables would stand beside our settings"
        assert pod.spec["securityContext"]["fsGroup"] > 0, pod.owner
        for container in pod.containers:
            where = f"{pod.owner}, {container['name']}"
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, where
            for bound in ("requests", "limits"):
                assert "memory" in container["resources"][bound], f"{where}: {bound}"
        for volume in pod.spec.get("volumes", []):
            if "emptyDir" in volume:
                assert "sizeLimit" in volume["emptyDir"], f"{pod.owner}: {volume['name']} may fill its node"


@pytest.mark.parametrize("name", matrix())
def test_what_a_container_writes_to_is_a_volume(name: str) -> None:
    """The root is read-only: each mount has a volume, and each volume a mount."""
    for pod in pods(rendered(name)):
        volumes = {volume["name"] for volume in pod.spec.get("volumes", [])}
        volumes |= set(pod.spec.get("volumeClaimTemplates", []))
        mounts = {mount["name"] for each in pod.containers for mount in each.get("volumeMounts", [])}
        assert mounts <= volumes | _claims(pod, name), f"{pod.owner}: {mounts - volumes} is mounted and is no volume"
        assert volumes <= mounts, f"{pod.owner}: {volumes - mounts} is mounted by nobody"
        for container in pod.containers:
            paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            assert len(paths) == len(set(paths)), f"{pod.owner}, {container['name']}: found a path mounted twice in {paths}"
            assert "/tmp" in paths, f"{pod.owner}, {container['name']}: nothing to write to"


def _claims(pod: PodTemplate, name: str) -> set[str]:
    """Names of the volumes that a StatefulSet claims for each of its pods."""
    kind, _, called = pod.owner.partition("/")
    owner = next(each for each in rendered(name) if each["kind"] == kind and each["metadata"]["name"] == called)
    return {claim["metadata"]["name"] for claim in owner.get("spec", {}).get("volumeClaimTemplates", [])}
