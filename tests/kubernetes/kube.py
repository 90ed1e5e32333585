"""kubectl and helm for one namespace, as a person would call them, and what they would look at where something is wrong."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import helm

RELEASE = "omniguard"
_TAIL = 40
_SECONDS = 120.0
Object = dict[str, Any]


class Kube:
    """One namespace of the cluster that KUBECONFIG names."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._kubectl, self._helm = str(helm.kubectl()), str(helm.helm())

    def kubectl(self, *args: str, given: str | None = None, check: bool = True, seconds: float = _SECONDS) -> str:
        """What kubectl printed; with `check`, fails with its messages where it does."""
        return _run([self._kubectl, "--namespace", self.namespace, *args], given=given, check=check, seconds=seconds)

    def helm(self, *args: str, check: bool = True, seconds: float = 600.0) -> str:
        """What helm printed."""
        return _run([self._helm, "--namespace", self.namespace, *args], given=None, check=check, seconds=seconds)

    def get(self, kind: str, name: str = "", *, selector: str = "") -> Object:
        """An object, or with no name the list of them."""
        named = [name] if name else []
        return dict(json.loads(self.kubectl("get", kind, *named, "--selector", selector, "--output", "json")))

    def items(self, kind: str, *, component: str = "") -> list[Object]:
        """The release's objects of a kind, of one component or of all."""
        selector = f"app.kubernetes.io/instance={RELEASE}" + (f",app.kubernetes.io/component={component}" if component else "")
        return list(self.get(kind, selector=selector)["items"])

    def pods(self, component: str) -> list[Object]:
        """Pods that are not on their way out."""
        return [pod for pod in self.items("pods", component=component) if "deletionTimestamp" not in pod["metadata"]]

    def ready(self, component: str) -> int:
        """How many pods of a component are ready."""
        return sum(map(is_ready, self.pods(component)))

    def owner(self, component: str) -> Object:
        """The Deployment or StatefulSet of a component."""
        (found,) = self.items("deployments,statefulsets", component=component)
        return found

    def replicas(self, component: str) -> int:
        """How many pods a component is asked to have."""
        return int(self.owner(component)["spec"]["replicas"])

    def scale(self, component: str, replicas: int) -> None:
        """Ask for so many pods."""
        owner = self.owner(component)
        self.kubectl("scale", f"{owner['kind'].lower()}/{owner['metadata']['name']}", f"--replicas={replicas}")

    def page(self, pod: Object, port: int, path: str) -> str:
        """A page that a pod serves, by way of the API server: where pods cannot be reached from here, too."""
        name = pod["metadata"]["name"]
        return self.kubectl("get", "--raw", f"/api/v1/namespaces/{self.namespace}/pods/{name}:{port}/proxy/{path}")

    def restarts(self) -> dict[str, int]:
        """The release's containers that were started more than once, and how often again."""
        every = [(pod, status) for pod in self.items("pods") for status in statuses(pod)]
        return {f"{p['metadata']['name']}/{s['name']}": s["restartCount"] for p, s in every if s["restartCount"]}

    def diagnosis(self) -> str:
        """Events, pods, what describes those that are not well, and the ends of all logs."""
        return "\n".join(self._look())

    def _look(self) -> Iterator[str]:
        yield self._said("get", "all,scaledobjects,hpa,pdb,configmaps,secrets", "--output", "wide")
        yield "\n".join(self._said("get", "events", "--sort-by=.lastTimestamp").splitlines()[-2 * _TAIL :])
        yield self._said("get", "nodes", "--output", "wide")
        for pod in self.get("pods")["items"]:
            name = pod["metadata"]["name"]
            if not is_ready(pod):
                yield self._said("describe", "pod", name)
            yield self._said("logs", name, "--all-containers", "--prefix", f"--tail={_TAIL}")
            if any(status["restartCount"] for status in statuses(pod)):
                yield self._said("logs", name, "--all-containers", "--prefix", f"--tail={_TAIL}", "--previous")

    def _said(self, *args: str) -> str:
        try:
            return f"$ kubectl {' '.join(args)}\n{self.kubectl(*args, check=False, seconds=30)}"
        except subprocess.TimeoutExpired:
            return f"$ kubectl {' '.join(args)}: no answer in 30 s"


def statuses(pod: Object) -> list[Object]:
    """Of its containers, the ones that initialise it and sidecars included."""
    return [*pod["status"].get("initContainerStatuses", ()), *pod["status"].get("containerStatuses", ())]


def is_ready(pod: Object) -> bool:
    """Whether a pod takes part in its Services."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))


def until(done: Callable[[], object], seconds: float, what: str | Callable[[], str]) -> float:
    """Poll a condition once a second, as kubectl's own start costs a core a tenth of one. Returns the seconds it took."""
    began = time.monotonic()
    while not done():
        passed = time.monotonic() - began
        assert passed < seconds, f"not within {seconds:.0f} s: {what if isinstance(what, str) else what()}"
        time.sleep(1.0)
    return time.monotonic() - began


def flags(values: Mapping[str, object]) -> list[str]:
    """Values for one helm call, over those of the file."""
    return [word for name, value in values.items() for word in ("--set-json", f"{name}={json.dumps(value)}")]


def _run(command: Sequence[str], *, given: str | None, check: bool, seconds: float) -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=seconds, check=False)
    shown = " ".join(command[3:])
    assert not check or done.returncode == 0, f"{shown}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout if check else f"{done.stdout}{done.stderr}"
