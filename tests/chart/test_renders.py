"""Every values file of the matrix: what is rendered is something a cluster takes."""

from __future__ import annotations

import re

import pytest

from chart.pods import pods
from chart.rendering import MATRIX, NAMESPACE, RELEASE, lint, matrix, of, render, rendered, template, title
from chart.strict import faults

WITHOUT_NAMESPACE = {"ClusterRole", "ClusterRoleBinding", "Namespace", "CustomResourceDefinition"}
STANDARD = {
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
}
OURS = {"og-more", "og-notes"}
"""Further objects of everything.yaml, which the chart passes on as they are."""


def test_the_matrix_covers_what_the_chart_offers() -> None:
    assert len(matrix()) >= 15
    for path in MATRIX.glob("*.yaml"):
        assert path.read_text().startswith("# "), f"{path.name}: its first line must say what it stands for"


@pytest.mark.parametrize("name", matrix())
def test_lint_is_content(name: str) -> None:
    done = lint(name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", matrix())
def test_every_object_is_valid_for_each_release(name: str) -> None:
    found = {title(each): wrong for each in rendered(name) if (wrong := faults(each))}
    assert not found


def test_a_field_that_no_schema_knows_is_found() -> None:
    (wrong,) = (each for each in rendered("minimal") if each["kind"] == "Service" and each["metadata"]["name"].endswith("grpc"))
    assert len(faults({**wrong, "spec": {**wrong["spec"], "publishNotReadyAdresses": False}})) == 4


@pytest.mark.parametrize("name", matrix())
def test_objects_are_named_and_labelled_alike(name: str) -> None:
    objects = rendered(name)
    titles = [f"{each['apiVersion']}/{title(each)}" for each in objects]
    assert len(titles) == len(set(titles)), f"found objects twice: {sorted(titles)}"
    for each in objects:
        meta, where = each["metadata"], title(each)
        if meta["name"] in OURS:
            continue
        assert meta["labels"].keys() >= STANDARD, where
        assert all(isinstance(label, str) and len(label) <= 63 for label in meta["labels"].values()), where
        assert each["kind"] not in WITHOUT_NAMESPACE, f"{where}: the chart needs no rights beyond its namespace"
        if each["apiVersion"].startswith("kafka.strimzi.io") or "dashboard" in meta["name"]:
            continue  # topics are named by the contract; dashboards may stand in another namespace
        assert meta["namespace"] == NAMESPACE, where
        assert meta["name"].startswith(f"{RELEASE}-"), where


@pytest.mark.parametrize("name", ["minimal", "everything"])
def test_a_second_render_is_the_same(name: str) -> None:
    """Nothing is drawn by lot: an upgrade without a change must change nothing."""
    first, second = (template("--values", str(MATRIX / f"{name}.yaml")).stdout for _ in range(2))
    assert first == second


def test_the_longest_release_name_still_makes_valid_names() -> None:
    release = "r" * 53
    text = template("--values", str(MATRIX / "everything.yaml"), "--name-template", release).stdout
    assert RELEASE not in text.split()
    for name in re.findall(r"^  name: (\S+)$", text, re.MULTILINE):
        assert len(name) <= 63, name
    objects = render({"fullnameOverride": "f" * 63}, "everything")
    assert {each["metadata"]["name"][:20] for each in of(objects, "Deployment", "StatefulSet")} == {"f" * 20}
    assert all(len(each["metadata"]["name"]) <= 52 for each in of(objects, "StatefulSet")), (
        "pods get 11 more for revision and number"
    )
    assert not [wrong for each in objects for wrong in faults(each)]


def test_labels_and_annotations_for_all_reach_all() -> None:
    for each in rendered("everything"):
        if each["metadata"]["name"] in OURS:
            continue
        assert each["metadata"]["labels"]["team"] == "trust-and-safety", title(each)
        assert each["metadata"]["annotations"]["example.org/owner"] == "trust-and-safety", title(each)
    for pod in pods(rendered("everything")):
        assert pod.labels["team"] == "trust-and-safety", pod.owner


def test_further_objects_are_templates() -> None:
    found = {each["metadata"]["name"]: each for each in rendered("everything")}
    assert found["og-notes"]["data"] == {"namespace": NAMESPACE}
    assert "og-more" in found
