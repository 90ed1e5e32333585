"""Writes k8s/base and the generated parts of its overlays from the chart, for those who install without Helm.

    python -m deploy.manifests            write; HELM=/path/to/helm, else the helm on the PATH
    python -m deploy.manifests --check    fail where a file differs, and name it

Kustomize's own means stand in for Helm's: ConfigMaps are generated with a hash in their names, which rolls pods out as the
chart's checksums do, and an overlay sets the namespace.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
NAMESPACE = "omniguard"
HEAD = "# Generated from helm/omniguard with k8s/values.yaml by `make manifests`: change those, or patch this in an overlay.\n"
OPERATORS = {
    "kafka": {
        "bootstrap": "kafka:9093",
        "securityProtocol": "SASL_SSL",
        "existingSecret": "omniguard-kafka",
        "ca": {"existingSecret": "omniguard-kafka-ca"},
    },
    "workers": {lane: {"autoscaling": {"enabled": True}} for lane in ("live", "backfill")},
    "monitoring": {"podMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}},
}
"""What the production overlay has beside the base: objects of KEDA and of the Prometheus operator."""
LITE = {
    "model": {"source": "bundled"},
    "triton": {"engine": {"name": "lite"}, "acknowledgeLite": True, "gpu": {"count": 0}},
}

Object = dict[str, Any]


def wanted() -> dict[str, str]:
    """Path below k8s/ → contents of every generated file."""
    base, production, lite = _rendered({}), _rendered(OPERATORS), _rendered(LITE)
    files = defaultdict(list)
    for each in base:
        if each["kind"] == "ConfigMap":
            continue  # the generator makes it
        files[f"base/{_group(each)}.yaml"].append(each)
    resources = sorted(path.removeprefix("base/") for path in files)
    files["overlays/production/scaling.yaml"] = [each for each in production if each["apiVersion"].startswith("keda.sh/")]
    files["overlays/production/monitoring.yaml"] = [each for each in production if each["apiVersion"].startswith("monitoring.")]
    texts = {path: HEAD + _text(objects) for path, objects in files.items()}
    texts["base/kustomization.yaml"] = HEAD + _text([_kustomization(resources)])
    texts["base/config.pbtxt"] = _model(base)
    texts["overlays/dev/config.pbtxt"] = _model(lite)
    return texts


def _rendered(values: Object) -> list[Object]:
    """The chart's objects without what is Helm's."""
    helm = os.environ.get("HELM") or shutil.which("helm")
    if helm is None:
        raise SystemExit("found no helm, expected one on the PATH or HELM=/path/to/helm: install Helm 4, or use `make manifests`")
    command = [helm, "template", "omniguard", str(ROOT / "helm/omniguard"), "--namespace", NAMESPACE, "--no-hooks"]
    given = io.StringIO()
    YAML(typ="safe").dump(values, given)
    done = subprocess.run(  # noqa: S603  the helm that the user named
        [*command, "--values", str(K8S / "values.yaml"), "--values", "-"],
        input=given.getvalue(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"helm template: {done.stderr}")
    # A name without its namespace, so that an overlay may choose another.
    text = done.stdout.replace(f".{NAMESPACE}.svc:", ":")
    return [_plain(each) for each in YAML(typ="safe").load_all(text) if each]


def _plain(each: Object) -> Object:
    metas = [each["metadata"]]
    if "template" in each.get("spec", {}):
        metas.append(each["spec"]["template"]["metadata"])
    for meta in metas:
        meta.pop("namespace", None)
        labels = meta["labels"]
        labels.pop("helm.sh/chart", None)
        if "app.kubernetes.io/managed-by" in labels:
            labels["app.kubernetes.io/managed-by"] = "kustomize"
        annotations = {key: text for key, text in meta.pop("annotations", {}).items() if not key.startswith("checksum/")}
        if annotations:
            meta["annotations"] = annotations
    return each


def _group(each: Object) -> str:
    return (
        "networkpolicies" if each["kind"] == "NetworkPolicy" else str(each["metadata"]["labels"]["app.kubernetes.io/component"])
    )


def _model(objects: list[Object]) -> str:
    (found,) = (
        each["data"]["config.pbtxt"] for each in objects if each["kind"] == "ConfigMap" and "config.pbtxt" in each["data"]
    )
    return str(found)


def _kustomization(resources: list[str]) -> Object:
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": resources,
        "configMapGenerator": [
            {"name": "omniguard-policy", "files": ["tenants.yaml"]},
            {"name": "omniguard-model", "files": ["config.pbtxt"]},
        ],
    }


def _text(objects: list[Object]) -> str:
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 120
    out = io.StringIO()
    yaml.dump_all(objects, out)
    return out.getvalue()


def main(arguments: list[str]) -> int:
    """The command."""
    texts = wanted()
    stale = [path for path, text in texts.items() if not (K8S / path).is_file() or (K8S / path).read_text() != text]
    if arguments == ["--check"]:
        if stale:
            print(
                f"found k8s/ out of date in {', '.join(stale)}, expected what the chart renders: make manifests", file=sys.stderr
            )
        return int(bool(stale))
    for path in stale:
        (K8S / path).parent.mkdir(parents=True, exist_ok=True)
        (K8S / path).write_text(texts[path])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
