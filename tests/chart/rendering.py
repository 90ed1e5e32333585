"""What the chart makes of values: `helm template`, once for each set of values in a process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from helm import helm

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm/omniguard"
MATRIX = ROOT / "helm/matrix"
RELEASE, NAMESPACE = "og", "moderation"

Object = dict[str, Any]


def matrix() -> list[str]:
    """The names of all values files that the chart must render."""
    return sorted(path.stem for path in MATRIX.glob("*.yaml"))


@cache
def rendered(name: str) -> tuple[Object, ...]:
    """All objects of one values file of the matrix, hooks included."""
    done = template("--values", str(MATRIX / f"{name}.yaml"))
    assert done.returncode == 0, f"{name}.yaml: {done.stderr}"
    return tuple(documents(done.stdout))


def render(values: Mapping[str, Any], name: str = "minimal") -> tuple[Object, ...]:
    """All objects of a values file of the matrix with some values put over it."""
    done = over(values, name)
    assert done.returncode == 0, done.stderr
    return tuple(documents(done.stdout))


def refused(values: Mapping[str, Any], name: str = "minimal") -> str:
    """What a person sees whose values, put over a file of the matrix, the chart does not take."""
    done = over(values, name)
    assert done.returncode != 0, f"found values that the chart renders, expected it to refuse {json.dumps(values)}"
    return done.stderr


def over(values: Mapping[str, Any], name: str) -> subprocess.CompletedProcess[str]:
    """The outcome for a values file with some values put over it."""
    return template("--values", str(MATRIX / f"{name}.yaml"), "--values", "-", stdin=json.dumps(values))


def template(*arguments: str, chart: Path = CHART, stdin: str = "", release: str = RELEASE) -> subprocess.CompletedProcess[str]:
    """`helm template`'s outcome."""
    return _run("template", release, str(chart), "--namespace", NAMESPACE, *arguments, stdin=stdin)


def lint(name: str) -> subprocess.CompletedProcess[str]:
    """`helm lint --strict`'s outcome for a values file of the matrix."""
    return _run("lint", str(CHART), "--strict", "--namespace", NAMESPACE, "--values", str(MATRIX / f"{name}.yaml"))


def documents(text: str) -> Iterator[Object]:
    """The objects of a YAML stream. Raises where a mapping has a key twice, which helm lets pass."""
    yield from (document for document in YAML(typ="safe").load_all(text) if document is not None)


def of(objects: tuple[Object, ...], *kinds: str) -> list[Object]:
    """The objects of some kinds."""
    return [each for each in objects if each["kind"] in kinds]


def title(each: Object) -> str:
    """Kind and name, for messages."""
    return f"{each['kind']}/{each['metadata']['name']}"


def _run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Helm without what this user or this cluster has set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HELM_", "KUBE"))}
    return subprocess.run([helm(), *arguments], input=stdin, capture_output=True, text=True, check=False, env=kept)
