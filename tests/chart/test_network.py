"""Who may talk to whom, as the policies say it; that a network enforces them is not tested, see helm/omniguard/README.md."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from chart.pods import PodTemplate, pods
from chart.rendering import Object, matrix, of, rendered


def _takes(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    for wanted in selector.get("matchExpressions", []):
        inside = labels.get(wanted["key"]) in wanted["values"]
        assert wanted["operator"] in ("In", "NotIn")
        if inside is (wanted["operator"] == "NotIn"):
            return False
    return selector.get("matchLabels", {}).items() <= labels.items()


def _policies(objects: tuple[Object, ...], pod: PodTemplate, direction: str) -> list[dict[str, Any]]:
    found = [each["spec"] for each in of(objects, "NetworkPolicy") if _takes(each["spec"]["podSelector"], pod.labels)]
    assert all(spec["policyTypes"] for spec in found)
    return [spec for spec in found if direction.title() in spec["policyTypes"]]


def _rules(objects: tuple[Object, ...], component: str, direction: str) -> list[dict[str, Any]]:
    (pod,) = (each for each in pods(objects) if each.labels.get("app.kubernetes.io/component") == component)
    return [rule for spec in _policies(objects, pod, direction) for rule in spec.get(direction, [])]


def _open(rules: list[dict[str, Any]], port: int) -> list[dict[str, Any]]:
    """Rules that let a port through."""
    return [rule for rule in rules if "ports" not in rule or any(each["port"] == port for each in rule["ports"])]


@pytest.mark.parametrize("name", [name for name in matrix() if name != "fixed-size"])
def test_each_pod_is_closed_both_ways_but_for_what_is_listed(name: str) -> None:
    objects = rendered(name)
    for pod in pods(objects):
        for direction in ("ingress", "egress"):
            specs = _policies(objects, pod, direction)
            assert specs, f"{pod.owner} is open: no policy speaks of its {direction}"
            for rule in (rule for spec in specs for rule in spec.get(direction, [])):
                assert rule, f"{pod.owner}: an empty rule lets everything through"
                assert rule.get("ports"), f"{pod.owner}: {rule} names no port"


def test_without_the_value_there_are_none() -> None:
    assert not of(rendered("fixed-size"), "NetworkPolicy")


def test_only_workers_ask_triton() -> None:
    rules = _open(_rules(rendered("production"), "triton", "ingress"), 8001)
    peers = [peer for rule in rules for peer in rule["from"]]
    others = {"app.kubernetes.io/name": "omniguard", "app.kubernetes.io/instance": "og"}
    for component, allowed in (("worker-live", True), ("worker-late", True), ("probe", False), ("triton", False)):
        labels = {**others, "app.kubernetes.io/component": component}
        assert any(_takes(peer["podSelector"], labels) for peer in peers) is allowed, component
    assert all("namespaceSelector" not in peer for peer in peers), "another namespace's pods with our labels are not ours"


def test_triton_reaches_nothing_but_names_and_its_checkpoint() -> None:
    assert {each["port"] for rule in _rules(rendered("production"), "triton", "egress") for each in rule["ports"]} == {53}
    (fetched,) = (rule for rule in _rules(rendered("download"), "triton", "egress") if rule["ports"][0]["port"] != 53)
    assert [each["port"] for each in fetched["ports"]] == [443]


def test_workers_reach_what_the_values_list() -> None:
    rules = _rules(rendered("production"), "worker-live", "egress")
    wanted = {53: None, 9094: "10.10.0.0/24", 6380: "10.10.1.0/24", 443: "10.10.2.0/24", 8001: None, 4318: None}
    for port, network in wanted.items():
        (rule,) = _open(rules, port)
        assert rule["to"], f"{port} is open to all"
        if network:
            assert rule["to"] == [{"ipBlock": {"cidr": network}}]
    assert {each["port"] for rule in rules for each in rule["ports"]} == wanted.keys()


def test_media_of_the_public_network_leave_out_what_is_not_public() -> None:
    rules = _open(_rules(rendered("minimal"), "worker-live", "egress"), 443)
    blocks = [peer["ipBlock"] for rule in rules for peer in rule["to"]]
    for address, public in (
        ("93.184.215.14", True),
        ("10.0.0.1", False),
        ("172.20.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("2606:2800:21f::1", True),
        ("fd00::1", False),
        ("fe80::1", False),
        ("::1", False),
        ("::ffff:10.0.0.1", False),
    ):
        asked = ip_address(address)
        reached = any(
            asked in ip_network(block["cidr"]) and not any(asked in ip_network(without) for without in block.get("except", []))
            for block in blocks
            if ip_network(block["cidr"]).version == asked.version
        )
        assert reached is public, address
    for block in blocks:
        assert all(ip_network(without).subnet_of(ip_network(block["cidr"])) for without in block.get("except", []))


def test_metrics_are_for_those_that_may_read_them() -> None:
    (rule,) = _open(_rules(rendered("production"), "worker-live", "ingress"), 8080)
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
