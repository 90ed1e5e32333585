"""What pods are told: variables that the program takes, files that are there, commands that exist, no secret in sight."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

from chart.pods import PodTemplate, pods
from chart.rendering import Object, matrix, of, render, rendered
from omniguard.contracts.tenants_file import load_tenants
from omniguard.entrypoints.cli import app
from omniguard.settings import PREFIX, load_settings

COMMAND: Any = typer.main.get_command(app)
READ_AT_START = ("PASSWORD_FILE", "URL_FILE", "VALUE_FILE", "SALT_FILE", "SECRET_ACCESS_KEY_FILE", "SESSION_TOKEN_FILE")


def _ours(name: str) -> list[tuple[PodTemplate, dict[str, Any]]]:
    """Containers that run `omniguard`."""
    return [(pod, each) for pod in pods(rendered(name)) for each in pod.containers if "/worker" in each["image"]]


@pytest.mark.parametrize("name", matrix())
def test_the_program_takes_its_variables(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for pod, container in _ours(name):
        check_settings(pod, container, tmp_path, monkeypatch)


def check_settings(pod: PodTemplate, container: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Load a container's settings as the program does: it refuses an unknown name, and a value that is not of its type."""
    with monkeypatch.context() as patch:
        for variable in [each for each in os.environ if each.startswith(PREFIX)]:
            patch.delenv(variable)
        for each in container.get("env", []):
            patch.setenv(each["name"], _value(each, folder))
        settings = load_settings()
    if container["name"] == "worker":
        lane = settings.worker.lane
        assert pod.owner.endswith(f"worker-{lane}"), f"{pod.owner} consumes {lane}"
        assert container["args"][:3] == ["worker", "--lane", lane], pod.owner


def _value(variable: dict[str, Any], folder: Path) -> str:
    """A value as the container would see it; files of secrets are stood in for."""
    assert variable.keys() in ({"name", "value"}, {"name", "valueFrom"}), variable
    if "valueFrom" in variable:
        return "from elsewhere"
    if variable["name"].endswith(READ_AT_START):
        file = folder / "secret"
        file.write_text("rediss://valkey:6379" if variable["name"].endswith("__URL_FILE") else "word")
        return str(file)
    return str(variable["value"])


@pytest.mark.parametrize("name", matrix())
def test_variables_stand_once_and_are_texts(name: str) -> None:
    for pod in pods(rendered(name)):
        for container in pod.containers:
            names = [each["name"] for each in container.get("env", [])]
            assert len(names) == len(set(names)), f"{pod.owner}, {container['name']}: {sorted(names)}"
            for each in container.get("env", []):
                assert isinstance(each.get("value", ""), str), f"{pod.owner}: {each}"


@pytest.mark.parametrize("name", matrix())
def test_every_file_that_a_variable_names_is_mounted(name: str) -> None:
    for pod, container in _ours(name):
        there = set(_files(pod, container, rendered(name)))
        for each in container.get("env", []):
            path = each.get("value", "")
            if path.startswith("/etc/omniguard/") and (each["name"].endswith("_FILE") or "POLICY__" in each["name"]):
                known = path in there or f"{PurePosixPath(path).parent}/*" in there
                assert known, f"{pod.owner}, {container['name']}: {each['name']} is {path}, found {sorted(there)}"


def _files(pod: PodTemplate, container: dict[str, Any], objects: tuple[Object, ...]) -> Iterator[str]:
    """Paths of all files that Secrets and ConfigMaps put into a container; FOLDER/* where their keys are the user's."""
    volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
    for mount in container.get("volumeMounts", []):
        volume = volumes.get(mount["name"], {})
        sources = volume.get("projected", {}).get("sources", [{k: v for k, v in volume.items() if k in ("secret", "configMap")}])
        for source in sources:
            for kind, content in source.items():
                items = content.get("items") or _keys(kind, content, objects)
                yield from (f"{mount['mountPath']}/{item['path']}" for item in items)


def _keys(kind: str, content: dict[str, Any], objects: tuple[Object, ...]) -> list[dict[str, str]]:
    for each in of(objects, "ConfigMap"):
        if kind == "configMap" and each["metadata"]["name"] == content["name"]:
            return [{"path": key} for key in each["data"]]
    return [{"path": "*"}]


@pytest.mark.parametrize("name", matrix())
def test_commands_are_those_of_the_program(name: str) -> None:
    for pod, container in _ours(name):
        words = [*container.get("command", ["omniguard"]), *container["args"]]
        assert words[0] == "omniguard", f"{pod.owner}, {container['name']}: {words}"
        _parse(COMMAND, words[1:])


def _parse(command: Any, words: list[str]) -> None:
    """Raise click's own error for a word that no command, argument or option takes. Nothing is run."""
    context = command.make_context(words[0] if words else "omniguard", list(words), resilient_parsing=False)
    while hasattr(command, "commands"):
        rest = [*context._protected_args, *context.args]
        name, command, words = command.resolve_command(context, rest)
        context = command.make_context(name, list(words), parent=context)


def test_a_command_that_does_not_exist_is_found() -> None:
    with pytest.raises(Exception, match="No such option: --lame"):
        _parse(COMMAND, ["worker", "--lame", "live"])


@pytest.mark.parametrize("name", matrix())
def test_secrets_are_named_and_never_made(name: str) -> None:
    objects = rendered(name)
    assert not of(objects, "Secret"), "the chart makes no secrets: a value would show them to whoever may read the release"
    for pod in pods(objects):
        for container in pod.containers:
            for each in container.get("env", []):
                secret = re.search(r"PASSWORD|SECRET|TOKEN$|SALT|_VALUE$|ACCESS_KEY", each["name"])
                if secret and not each["name"].endswith("_FILE"):
                    assert "valueFrom" in each, f"{pod.owner}: {each['name']} shows its value"
        for volume in pod.spec.get("volumes", []):
            for source in volume.get("projected", {}).get("sources", []):
                assert "serviceAccountToken" not in source, pod.owner


@pytest.mark.parametrize("name", matrix())
def test_the_policies_are_ones_that_a_worker_loads(name: str, tmp_path: Path) -> None:
    for each in of(rendered(name), "ConfigMap"):
        if "tenants.yaml" in each.get("data", {}):
            for file, text in each["data"].items():
                (tmp_path / file).write_text(text)
            assert load_tenants(tmp_path / "tenants.yaml")


def test_a_policy_given_as_text_comes_as_it_was() -> None:
    (policy,) = (each for each in of(rendered("everything"), "ConfigMap") if "beta.yaml" in each.get("data", {}))
    given = YAML(typ="safe").load((Path(__file__).parents[2] / "helm/matrix/everything.yaml").read_text())
    assert policy["data"]["beta.yaml"].strip() == given["policy"]["policies"]["beta.yaml"].strip()


def _checksums(objects: tuple[Object, ...]) -> set[str]:
    return {pod.annotations["checksum/policy"] for pod in pods(objects) if "worker-" in pod.owner and pod.long_running}


def test_a_changed_policy_rolls_the_workers_out() -> None:
    """Kubernetes starts new pods only where the template changed."""
    before = _checksums(rendered("production"))
    assert len(before) == 1
    tenants = _checksums(render({"policy": {"tenants": {"tenants": {"acme": {"policy_epoch": 5}}}}}, "production"))
    policies = _checksums(render({"policy": {"policies": {"acme.yaml": {"version": 4}}}}, "production"))
    calibration = _checksums(render({"policy": {"calibration": "{}"}}, "production"))
    assert len(before | tenants | policies | calibration) == 4
    assert _checksums(render({"triton": {"shmSize": "3Gi"}}, "production")) == before


def test_settings_of_a_lane_go_before_those_of_all() -> None:
    for lane, seconds in (("live", "10"), ("backfill", None)):
        (env,) = _worker_env(rendered("everything"), lane)
        assert env.get("OMNIGUARD_WORKER__LIVE_SECONDS") == seconds
        assert env["OMNIGUARD_DECODE__MAX_SECONDS"] == "3600"
        assert env["OMNIGUARD_WORKER__WINDOW_BYTES"] == "536870912", "no exponent"
    objects = render(
        {
            "workers": {
                "common": {"podDisruptionBudget": {"enabled": True}, "autoscaling": {"enabled": True}},
                "live": {"podDisruptionBudget": {"enabled": False}, "autoscaling": {"enabled": False}, "priorityClassName": ""},
            }
        }
    )
    for kind in ("PodDisruptionBudget", "ScaledObject"):
        found = {each["metadata"]["name"] for each in of(objects, kind)}
        assert "og-omniguard-worker-backfill" in found
        assert "og-omniguard-worker-live" not in found, f"{kind}: false of a lane counts less than true of all"


def _worker_env(objects: tuple[Object, ...], lane: str) -> list[dict[str, str]]:
    return [
        {each["name"]: each.get("value", "") for each in pod.spec["containers"][0]["env"]}
        for pod in pods(objects)
        if pod.owner.endswith(f"worker-{lane}")
    ]


def test_images_go_by_their_digest_where_there_is_one() -> None:
    digests = {"worker": "sha256:" + "0" * 63 + "1", "triton": "sha256:" + "0" * 63 + "2"}
    for pod in pods(rendered("production")):
        for container in pod.containers:
            image = re.fullmatch(r"registry\.example\.org:5000/omniguard/(worker|triton)@(.+)", container["image"])
            assert image, container["image"]
            assert image[2] == digests[image[1]]


def test_without_a_tag_an_image_has_the_charts_version() -> None:
    version = of(rendered("minimal"), "Deployment")[0]["metadata"]["labels"]["app.kubernetes.io/version"]
    assert {each["image"] for pod in pods(rendered("minimal")) for each in pod.containers} == {
        f"omniguard/worker:{version}",
        f"omniguard/triton:{version}",
    }
    assert "registry.example.org/omniguard/triton:1.2.3-cuda" in {
        each["image"] for pod in pods(rendered("everything")) for each in pod.containers
    }
