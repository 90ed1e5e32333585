"""The pods that rendered objects make, and what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chart.rendering import Object, title


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """A pod as its owner describes it. `owner` is "Kind/name"; `long_running` is False for hooks and Jobs."""

    owner: str
    labels: dict[str, str]
    annotations: dict[str, str]
    spec: dict[str, Any]
    long_running: bool

    @property
    def containers(self) -> list[dict[str, Any]]:
        """All of them, initialisation included."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def serving(self) -> list[dict[str, Any]]:
        """Those that run as long as the pod: containers, and sidecars among the initialisation."""
        sidecars = [each for each in self.spec.get("initContainers", []) if each.get("restartPolicy") == "Always"]
        return [*sidecars, *self.spec["containers"]]

    @property
    def ports(self) -> dict[str, int]:
        """Named ports of all containers."""
        return {port["name"]: port["containerPort"] for each in self.containers for port in each.get("ports", [])}


def pods(objects: tuple[Object, ...]) -> list[PodTemplate]:
    """Every pod template of a render."""
    return list(_pods(objects))


def _pods(objects: tuple[Object, ...]) -> Iterator[PodTemplate]:
    for each in objects:
        kind = each["kind"]
        if kind == "Pod":
            template = each
        elif kind in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
            template = each["spec"]["template"]
        elif kind == "CronJob":
            template = each["spec"]["jobTemplate"]["spec"]["template"]
        else:
            continue
        meta = template["metadata"]
        yield PodTemplate(
            title(each),
            meta.get("labels", {}),
            meta.get("annotations", {}),
            template["spec"],
            kind in ("Deployment", "StatefulSet", "DaemonSet"),
        )


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector takes these labels. matchLabels only: the chart has no need of expressions."""
    assert selector.keys() <= {"matchLabels"}, f"found {selector}, expected matchLabels alone"
    wanted = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()
