"""What one object says of another is so: selectors, ports, accounts, targets, files."""

from __future__ import annotations

from typing import Any

import pytest

from chart.pods import PodTemplate, matches, pods
from chart.rendering import Object, matrix, of, render, rendered, title

SERVING = 3
"""Least components with a port that is scraped: live workers, and Triton with its supervisor."""


@pytest.mark.parametrize("name", matrix())
def test_workloads_select_their_own_pods_and_no_others(name: str) -> None:
    objects = rendered(name)
    long_running = [pod for pod in pods(objects) if pod.long_running]
    for each in of(objects, "Deployment", "StatefulSet"):
        taken = [pod.owner for pod in pods(objects) if matches(each["spec"]["selector"], pod.labels)]
        assert taken == [title(each)]
    assert long_running, "nothing runs"


@pytest.mark.parametrize("name", matrix())
def test_services_lead_to_ports_that_are_there(name: str) -> None:
    objects = rendered(name)
    for each in of(objects, "Service"):
        behind = [pod for pod in pods(objects) if matches({"matchLabels": each["spec"]["selector"]}, pod.labels)]
        assert behind, f"{title(each)} leads nowhere"
        for port in each["spec"]["ports"]:
            assert port["name"]
            assert isinstance(port["targetPort"], str), f"{title(each)}: ports go by name"
            assert any(port["targetPort"] in pod.ports for pod in behind), f"{title(each)}: nobody has {port['targetPort']}"
            assert all(pod.ports.get(port["targetPort"], port["port"]) == port["port"] for pod in behind), title(each)


def test_workers_find_every_replica_of_triton() -> None:
    """Headless, and only those that are ready: an address for each, so that a worker keeps a channel to each."""
    (service,) = (each for each in of(rendered("minimal"), "Service") if each["metadata"]["name"].endswith("-triton-grpc"))
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is False
    address = "og-omniguard-triton-grpc.moderation.svc:8001"
    for pod in pods(rendered("minimal")):
        if "worker-" in pod.owner:
            (worker,) = (each for each in pod.containers if each["name"] == "worker")
            assert {"name": "OMNIGUARD_TRITON__ADDRESSES", "value": address} in worker["env"]


@pytest.mark.parametrize("name", matrix())
def test_what_runs_for_long_is_probed_at_ports_that_are_there(name: str) -> None:
    for pod in pods(rendered(name)):
        if not pod.long_running:
            continue
        for container in pod.serving:
            where = f"{pod.owner}, {container['name']}"
            assert {"startupProbe", "readinessProbe"} <= container.keys(), where
            assert "livenessProbe" in container or container["name"] == "supervisor", where
            own = {port["name"] for port in container.get("ports", [])}
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                for way in ("httpGet", "tcpSocket"):
                    port = container.get(kind, {}).get(way, {}).get("port")
                    if isinstance(port, int):  # another container's of the pod
                        assert port in pod.ports.values(), f"{where}: {kind} at {port}"
                    elif port is not None:
                        assert port in own, f"{where}: {kind} at {port}"


@pytest.mark.parametrize("name", matrix())
def test_liveness_of_triton_is_what_the_supervisor_found(name: str) -> None:
    """Triton says ready with a dead model, and a busy one must not be ended: the supervisor alone tells them apart."""
    for pod in pods(rendered(name)):
        if pod.owner.endswith("-triton"):
            (triton,) = pod.spec["containers"]
            supervisor = next(each for each in pod.containers if each["name"] == "supervisor")
            assert supervisor["restartPolicy"] == "Always", "a sidecar: there before Triton, and until after it"
            assert triton["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": supervisor["ports"][0]["containerPort"]}
            assert "livenessProbe" not in supervisor or supervisor["livenessProbe"] != triton["livenessProbe"]
            probe = triton["startupProbe"]
            assert probe["periodSeconds"] * probe["failureThreshold"] >= 30 * 60, "a model of 7B loads for minutes"
            assert pod.spec["shareProcessNamespace"] is True, "the supervisor ends the process of a broken model"


@pytest.mark.parametrize("name", matrix())
def test_each_component_has_an_account_of_its_own_and_no_rights(name: str) -> None:
    objects = rendered(name)
    accounts = {each["metadata"]["name"]: each for each in of(objects, "ServiceAccount")}
    used = [pod.spec["serviceAccountName"] for pod in pods(objects)]
    assert len(used) == len(set(used))
    assert set(used) == accounts.keys()
    assert all(each["automountServiceAccountToken"] is False for each in accounts.values())
    assert not of(objects, "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")


@pytest.mark.parametrize("name", matrix())
def test_config_maps_that_pods_need_are_rendered_or_named_by_values(name: str) -> None:
    objects = rendered(name)
    there = {each["metadata"]["name"] for each in of(objects, "ConfigMap")} | {"moderation-policies", "authorities"}
    for pod in pods(objects):
        for volume in pod.spec.get("volumes", []):
            wanted = [volume["configMap"]["name"]] if "configMap" in volume else []
            sources = volume.get("projected", {}).get("sources", [])
            wanted += [source["configMap"]["name"] for source in sources if "configMap" in source]
            assert set(wanted) <= there, f"{pod.owner}: {wanted}"


@pytest.mark.parametrize("name", matrix())
def test_disruption_budgets_cover_one_component_each(name: str) -> None:
    objects = rendered(name)
    for each in of(objects, "PodDisruptionBudget"):
        covered = [pod.owner for pod in pods(objects) if matches(each["spec"]["selector"], pod.labels)]
        assert len(covered) == 1, f"{title(each)} covers {covered}"
        assert each["spec"].get("maxUnavailable") not in (0, "0%"), f"{title(each)} keeps nodes from being drained for ever"
        assert each["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@pytest.mark.parametrize("name", matrix())
def test_pods_are_spread_among_their_own(name: str) -> None:
    objects = rendered(name)
    for pod in pods(objects):
        for constraint in pod.spec.get("topologySpreadConstraints", []):
            taken = [other.owner for other in pods(objects) if matches(constraint["labelSelector"], other.labels)]
            assert taken == [pod.owner]


@pytest.mark.parametrize("name", matrix())
def test_monitors_find_every_port_with_metrics(name: str) -> None:
    objects = rendered(name)
    for each in of(objects, "PodMonitor"):
        found = [pod for pod in pods(objects) if matches(each["spec"]["selector"], pod.labels) and pod.long_running]
        _check_scraped(each["spec"]["podMetricsEndpoints"], found, objects)
    for each in of(objects, "ServiceMonitor"):
        (service,) = (one for one in of(objects, "Service") if matches(each["spec"]["selector"], one["metadata"]["labels"]))
        assert {end["port"] for end in each["spec"]["endpoints"]} == {port["name"] for port in service["spec"]["ports"]}
        selector = {"matchLabels": service["spec"]["selector"]}
        found = [pod for pod in pods(objects) if matches(selector, pod.labels) and pod.long_running]
        _check_scraped(each["spec"]["endpoints"], found, objects)


def _check_scraped(endpoints: list[dict[str, Any]], found: list[PodTemplate], objects: tuple[Object, ...]) -> None:
    assert [pod.owner for pod in found] == [pod.owner for pod in pods(objects) if pod.long_running]
    ports = {port for pod in found for port in pod.ports} - {"http", "grpc"}
    assert {end["port"] for end in endpoints} == ports
    assert all(end["path"] == "/metrics" for end in endpoints)


@pytest.mark.parametrize("name", matrix())
def test_helm_test_asks_the_service_and_leaves_nothing(name: str) -> None:
    hooks = [each for each in rendered(name) if "helm.sh/hook" in each["metadata"].get("annotations", {})]
    assert [each["kind"] for each in hooks] == ([] if name == "fixed-size" else ["Pod"])
    for each in hooks:
        assert each["metadata"]["annotations"]["helm.sh/hook"] == "test"
        assert "before-hook-creation" in each["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
        assert each["spec"]["restartPolicy"] == "Never"
        assert each["spec"]["containers"][0]["args"][0] == "probe"


def test_variables_volumes_and_accounts_of_the_user_are_there() -> None:
    for pod in pods(rendered("everything")):
        if "worker-" not in pod.owner:
            continue
        (worker,) = (each for each in pod.containers if each["name"] == "worker")
        assert {"name": "PYTHONMALLOC", "value": "malloc"} in worker["env"]
        assert {"name": "authorities", "mountPath": "/etc/authorities", "readOnly": True} in worker["volumeMounts"]
        assert {"name": "authorities", "configMap": {"name": "authorities"}} in pod.spec["volumes"]
        assert pod.annotations["example.org/scrape"] == "no"
        assert pod.labels["example.org/tier"] == "worker"
        assert pod.spec["nodeSelector"] == {"pool": "cpu"}
        assert pod.spec["tolerations"] == [{"operator": "Exists"}]
        assert "nodeAffinity" in pod.spec["affinity"]
        assert pod.spec["priorityClassName"] == "moderation"
        assert pod.spec["imagePullSecrets"] == [{"name": "pull"}]
    roles = [each["metadata"]["annotations"].get("example.org/role") for each in of(rendered("everything"), "ServiceAccount")]
    assert roles.count("worker") == 3
    assert roles.count("triton") == 1


def test_a_lane_that_is_off_leaves_nothing_behind() -> None:
    left = [title(each) for each in rendered("fixed-size") if "backfill" in title(each) or "late" in title(each)]
    assert not left
    assert not [title(each) for each in rendered("triton-elsewhere") if "triton" in title(each)]


def test_two_releases_in_a_namespace_share_no_name() -> None:
    first = {title(each) for each in rendered("production") if "dashboard" not in title(each)}
    second = {title(each) for each in render({"fullnameOverride": "other"}, "production") if "dashboard" not in title(each)}
    assert not first & second
