"""`helm uninstall` leaves nothing behind in the cluster. Topics and consumer groups are the platform's, and stay."""

from __future__ import annotations

from kubernetes.conftest import Service
from kubernetes.kube import RELEASE, Kube, until
from kubernetes.table import Step, note

_CLUSTERS_OWN = {"configmap/kube-root-ca.crt", "serviceaccount/default"}
"""What every namespace has."""
_PASSING = ("event", "podmetrics")
"""Records of what was, which go by themselves."""


def test_uninstall_leaves_nothing(service: Service) -> None:
    kube = service.kube
    assert len(_left(kube)) > 10, "the list of what is there would not find anything"
    took = service.uninstall()
    until(lambda: not kube.items("pods"), 90.0, "the last pod has gone")
    until(lambda: not _left(kube), 60.0, lambda: f"nothing is left; left: {_left(kube)}")
    assert not _cluster_wide(kube)
    note(Step("uninstall", "`helm uninstall --wait`: nothing left by namespace or by label", took))


def _left(kube: Kube) -> set[str]:
    """Everything in the namespace that is not the cluster's own."""
    listed = kube.kubectl("get", ",".join(_kinds(kube, namespaced=True)), "--output", "name", "--ignore-not-found")
    return {n for n in listed.splitlines() if n not in _CLUSTERS_OWN and not n.startswith(_PASSING)}


def _cluster_wide(kube: Kube) -> str:
    """Objects outside of namespaces that carry the release's label, and such in other namespaces."""
    label = ("--selector", f"app.kubernetes.io/instance={RELEASE}", "--output", "name", "--ignore-not-found")
    wide = kube.kubectl("get", ",".join(_kinds(kube, namespaced=False)), *label)
    return wide + kube.kubectl("get", ",".join(_kinds(kube, namespaced=True)), "--all-namespaces", *label)


def _kinds(kube: Kube, *, namespaced: bool) -> list[str]:
    """Every kind of object that can be listed; not the metrics API's, which list what others are."""
    said = kube.kubectl("api-resources", "--verbs=list", f"--namespaced={str(namespaced).lower()}", "--output", "name")
    return [kind for kind in said.split() if not kind.endswith("metrics.k8s.io")]
