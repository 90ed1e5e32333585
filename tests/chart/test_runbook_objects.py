"""The kubectl commands of the runbook, and the helm commands of docs/upgrades.md, name what the chart makes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from chart.rendering import CHART, RELEASE, of, rendered
from helm import helm, kubectl
from runbook import PAGE, commands

KUBECTL = [line for line in commands() if line.startswith("kubectl ")]
UPGRADES = PAGE.with_name("upgrades.md")
HELM = re.findall(r"^helm .+$", UPGRADES.read_text(), re.MULTILINE)
POD_PORTS = {"worker": 8080, "supervisor": 8081}


def deployments() -> dict[str, dict[str, Any]]:
    """Of the fullest installation, by name, each with the template of its pods."""
    return {each["metadata"]["name"]: each["spec"]["template"] for each in of(rendered("production"), "Deployment")}


def containers() -> dict[str, dict[str, Any]]:
    """Of all pods, by name."""
    pods = [template["spec"] for template in deployments().values()]
    return {each["name"]: each for pod in pods for each in (*pod["containers"], *pod.get("initContainers", ()))}


def test_there_are_commands_of_each_kind() -> None:
    assert {line.split()[3] for line in KUBECTL} >= {"get", "describe", "logs", "exec", "port-forward", "rollout", "delete"}
    assert {line.split()[1] for line in HELM} >= {"upgrade", "rollback", "history"}


@pytest.mark.parametrize("line", KUBECTL)
def test_what_a_command_names_is_in_the_chart(line: str) -> None:
    assert line.startswith("kubectl -n $NS ")
    for name in re.findall(r"deploy/(\S+)", line):
        assert name.replace("$APP", f"{RELEASE}-omniguard") in deployments()
    for name in re.findall(r"-c (\S+)", line):
        assert name in containers()
    for label, value in re.findall(r"-l (\S+)=(\S+)", line):
        assert all(template["metadata"]["labels"][label] == value for template in deployments().values())
    if "port-forward" in line:
        ports = {port["containerPort"] for each in POD_PORTS for port in containers()[each]["ports"]}
        assert int(line.split()[-1]) in ports
    assert set(re.findall(r"\$(\w+)", line)) <= {"NS", "APP"}


@pytest.mark.parametrize("verb", sorted({line.split()[3] for line in KUBECTL}))
def test_kubectl_has_the_verb_and_takes_the_options(verb: str) -> None:
    said = _help(kubectl(), verb)
    for line in (line for line in KUBECTL if line.split()[3] == verb):
        for option in re.findall(r" (--[a-z-]+)", line.partition(" -- ")[0]):
            assert f"{option}=" in said, f"{verb} has no {option}"


@pytest.mark.parametrize("line", HELM)
def test_helm_takes_the_options_and_the_chart_is_there(line: str) -> None:
    words = line.split()
    said = _help(helm(), words[1])
    for option in re.findall(r" (--[a-z-]+)", line):
        assert re.search(rf"{option}\b", said) or option in {"--namespace"}, f"helm {words[1]} has no {option}"
    for path in re.findall(r"\./(\S+)", line):
        assert (CHART.parents[1] / path).is_dir()


def _help(program: Path, verb: str) -> str:
    done = subprocess.run([program, verb, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
