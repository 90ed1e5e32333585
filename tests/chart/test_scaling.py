"""Rollouts, drains and scaling as docs/operations.md promises them."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from chart.pods import PodTemplate, pods
from chart.rendering import Object, matrix, of, render, rendered, title
from omniguard.contracts.topics import Topics
from omniguard.domain.lane import Lane
from promql import check_series


def _env(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in container.get("env", [])}


def _worker(pod: PodTemplate) -> dict[str, Any]:
    return next(each for each in pod.containers if each["name"] == "worker")


def _workers(objects: tuple[Object, ...]) -> list[PodTemplate]:
    return [pod for pod in pods(objects) if "/og-" in pod.owner and "-worker-" in pod.owner]


@pytest.mark.parametrize("name", matrix())
def test_a_worker_has_fifteen_seconds_beyond_its_drain(name: str) -> None:
    for pod in _workers(rendered(name)):
        drain = int(_env(_worker(pod))["OMNIGUARD_WORKER__DRAIN_TIMEOUT"])
        assert pod.spec["terminationGracePeriodSeconds"] == drain + 15, pod.owner


@pytest.mark.parametrize("name", matrix())
def test_triton_drains_before_it_is_ended(name: str) -> None:
    for pod in pods(rendered(name)):
        if pod.owner.endswith("-triton"):
            (triton,) = pod.spec["containers"]
            noticed = triton["lifecycle"]["preStop"]["sleep"]["seconds"]
            exiting = next(int(word.partition("=")[2]) for word in triton["args"] if word.startswith("--exit-timeout="))
            assert pod.spec["terminationGracePeriodSeconds"] >= noticed + exiting + 15


@pytest.mark.parametrize("name", matrix())
def test_who_scales_alone_says_how_many(name: str) -> None:
    """With `replicas` beside a ScaledObject every upgrade would throw its decision away."""
    objects = rendered(name)
    scaled = {each["spec"]["scaleTargetRef"]["name"]: each for each in of(objects, "ScaledObject")}
    workloads = {each["metadata"]["name"]: each for each in of(objects, "Deployment", "StatefulSet")}
    assert scaled.keys() <= workloads.keys()
    for called, each in workloads.items():
        assert ("replicas" in each["spec"]) != (called in scaled), title(each)
    for each in scaled.values():
        target = each["spec"]["scaleTargetRef"]
        found = workloads[target["name"]]
        assert target.get("kind", "Deployment") == found["kind"]
        assert 1 <= each["spec"]["minReplicaCount"] <= each["spec"]["maxReplicaCount"], title(each)


@pytest.mark.parametrize("name", matrix())
def test_workers_are_scaled_by_lag_that_more_of_them_can_take(name: str) -> None:
    objects = rendered(name)
    for pod in _workers(objects):
        env = _env(_worker(pod))
        lane = Lane(env["OMNIGUARD_WORKER__LANE"])
        topics = Topics(env.get("OMNIGUARD_KAFKA__TOPIC_PREFIX", ""))
        for each in of(objects, "ScaledObject"):
            if f"Deployment/{each['spec']['scaleTargetRef']['name']}" != pod.owner:
                continue
            partitions = _partitions(topics, lane) if name == "everything" else _declared(topics, lane)
            threshold = int(each["spec"]["advanced"]["scalingModifiers"]["target"])
            assert threshold >= 4 * int(env["OMNIGUARD_WORKER__WINDOW_EVENTS"]), "work in hand is lag"
            assert each["spec"]["maxReplicaCount"] <= partitions
            groups = [trigger["metadata"] for trigger in each["spec"]["triggers"]]
            watched = [int(number) for asked in groups for number in asked["partitionLimitation"].split(",")]
            assert len(watched) == len(set(watched))
            assert set(watched) <= set(range(partitions)), "KEDA fails for a partition that is not there"
            for asked in groups:
                assert (asked["topic"], asked["consumerGroup"]) == (topics.content(lane), topics.group(lane))
                assert asked["bootstrapServers"] == env["OMNIGUARD_KAFKA__BOOTSTRAP"]
                assert all(isinstance(value, str) for value in asked.values())
            behaviour = each["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
            assert behaviour["scaleDown"]["stabilizationWindowSeconds"] >= 600


def _declared(topics: Topics, lane: Lane) -> int:
    return next(topic.partitions for topic in topics.all if topic.name == topics.content(lane))


def _wanted(scaled: Object, lags: list[int]) -> float:
    """Pods that KEDA asks for, by the formula as Python reads it."""
    modifiers = scaled["spec"]["advanced"]["scalingModifiers"]
    names = [trigger["name"] for trigger in scaled["spec"]["triggers"]]
    most = re.fullmatch(r"sum\(map\(\[(.*)\], min\(#, (\d+)\)\)\) - min\(max\((.*)\), (\d+)\)", modifiers["formula"])
    assert most is not None, modifiers["formula"]
    assert most[1] == most[3] == ", ".join(names)
    assert most[2] == most[4]
    counted = [min(lag, int(most[2])) for lag in lags]
    return max(float(scaled["spec"]["minReplicaCount"]), math.ceil((sum(counted) - max(counted)) / int(modifiers["target"])))


@pytest.mark.parametrize(("partitions", "most"), [(12, 12), (12, 3), (4, 4), (2, 2)])
def test_one_partition_held_up_scales_nothing_and_lag_everywhere_scales_to_the_end(partitions: int, most: int) -> None:
    lane = {"partitions": partitions, "autoscaling": {"enabled": True, "minReplicas": 1, "maxReplicas": most}}
    scaled = next(each for each in of(render({"workers": {"live": lane}}), "ScaledObject") if "live" in title(each))
    idle = partitions - 1
    assert _wanted(scaled, [10**6, *[0] * idle]) == 1
    assert _wanted(scaled, [10**6, *[128 // (4 * idle)] * idle]) == 1, "with a little in hand everywhere else"
    assert min(most, _wanted(scaled, [10**6] * partitions)) == most
    assert _wanted(scaled, [10**6, 10**6, *[0] * (idle - 1)]) <= 2


def test_many_partitions_are_watched_in_groups() -> None:
    lane = {"partitions": 30, "autoscaling": {"enabled": True}}
    scaled = next(each for each in of(render({"workers": {"live": lane}}), "ScaledObject") if "live" in title(each))
    groups = [trigger["metadata"]["partitionLimitation"].split(",") for trigger in scaled["spec"]["triggers"]]
    assert len(groups) == 12, "each is a connection of KEDA's to the brokers"
    assert sorted(int(number) for group in groups for number in group) == list(range(30))
    assert scaled["spec"]["maxReplicaCount"] == min(30, _wanted(scaled, [10**6] * 12))


def _partitions(topics: Topics, lane: Lane) -> int:
    return next(topic.partitions for topic in topics.all if topic.name == topics.content(lane)) * 2
    # everything.yaml says that its late topic has twice as many as declared


@pytest.mark.parametrize("name", matrix())
def test_the_scaler_logs_in_as_the_lane_does(name: str) -> None:
    objects = rendered(name)
    logins = {each["metadata"]["name"]: each["spec"] for each in of(objects, "TriggerAuthentication")}
    for each in of(objects, "ScaledObject"):
        for trigger in each["spec"]["triggers"]:
            if trigger["type"] != "kafka":
                continue
            (pod,) = (one for one in _workers(objects) if one.owner.endswith(f"/{each['spec']['scaleTargetRef']['name']}"))
            env = _env(_worker(pod))
            protocol = env["OMNIGUARD_KAFKA__SECURITY_PROTOCOL"]
            asked = trigger["metadata"]
            assert asked.get("tls", "disable") == ("enable" if protocol.endswith("SSL") else "disable")
            words = {"PLAIN": "plaintext", "SCRAM-SHA-256": "scram_sha256", "SCRAM-SHA-512": "scram_sha512"}
            mechanism = words[env["OMNIGUARD_KAFKA__SASL_MECHANISM"]] if protocol.startswith("SASL") else "none"
            assert asked.get("sasl", "none") == mechanism
            if protocol == "PLAINTEXT":
                assert "authenticationRef" not in trigger
                continue
            login = logins[trigger["authenticationRef"]["name"]]
            mounted = {
                source["secret"]["name"]
                for volume in pod.spec["volumes"]
                for source in volume.get("projected", {}).get("sources", [])
            }
            assert {part["name"] for part in login.get("secretTargetRef", [])} <= mounted
            for part in login.get("env", []):
                named = {one["name"] for one in _worker(pod)["env"]}
                assert part["containerName"] == "worker"
                assert part["name"] in named


def test_triton_is_scaled_by_what_waits_in_it() -> None:
    for name in ("production", "everything"):
        (each,) = (one for one in of(rendered(name), "ScaledObject") if one["metadata"]["name"].endswith("-triton"))
        queries = [trigger["metadata"]["query"] for trigger in each["spec"]["triggers"]]
        assert len(queries) == 2
        for query in queries:
            assert 'namespace="moderation"' in query, "another release's Triton must not scale this one"
            check_series(query.replace(',cluster="a"', ""))
    assert 'cluster="a"' in queries[0]
    assert all(trigger["authenticationRef"] == {"name": "prometheus"} for trigger in each["spec"]["triggers"])


@pytest.mark.parametrize("rollout", ["surge", "replace"])
def test_a_new_version_of_triton_comes_as_the_hardware_allows(rollout: str) -> None:
    (each,) = (one for one in of(render({"triton": {"rollout": rollout}}), "Deployment") if title(one).endswith("-triton"))
    limits = {"surge": {"maxSurge": 1, "maxUnavailable": 0}, "replace": {"maxSurge": 0, "maxUnavailable": 1}}
    assert each["spec"]["strategy"] == {"type": "RollingUpdate", "rollingUpdate": limits[rollout]}


@pytest.mark.parametrize("name", matrix())
def test_no_rollout_takes_a_worker_before_its_successor_is_ready(name: str) -> None:
    for each in of(rendered(name), "Deployment"):
        if "-worker-" in title(each):
            assert each["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@pytest.mark.parametrize("name", matrix())
def test_gpus_are_asked_for_where_the_engine_needs_them(name: str) -> None:
    for pod in pods(rendered(name)):
        if not pod.owner.endswith("-triton"):
            continue
        (triton,) = pod.spec["containers"]
        count = {"lite": None, "everything": 2}.get(name, 1)
        assert triton["resources"]["limits"].get("nvidia.com/gpu") == count
        tolerated = any(each.get("key") == "nvidia.com/gpu" for each in pod.spec.get("tolerations", []))
        assert tolerated is (count is not None)
        (shared,) = (volume for volume in pod.spec["volumes"] if volume["name"] == "shm")
        assert shared["emptyDir"]["medium"] == "Memory"
        assert {"name": "shm", "mountPath": "/dev/shm"} in triton["volumeMounts"]
