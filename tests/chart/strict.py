"""Whether an object is one that a cluster takes: the schemas of several Kubernetes releases, and those of the operators' CRDs.

Strict: a field that no schema knows is an error, as a misspelt one is silently dropped by some API servers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import kubernetes_validate
from cloudcoil.models.keda.v1alpha1 import ScaledObject, TriggerAuthentication
from cloudcoil.models.prometheus_operator.v1 import PodMonitor, PrometheusRule, ServiceMonitor
from jsonschema import Draft202012Validator
from kubernetes_validate import utils

KUBERNETES = ("1.31", "1.33", "1.35", "1.37")
_OPERATORS = {
    "keda.sh/v1alpha1": {model.__name__: model for model in (ScaledObject, TriggerAuthentication)},
    "monitoring.coreos.com/v1": {model.__name__: model for model in (PodMonitor, PrometheusRule, ServiceMonitor)},
}
STRIMZI = ("kafka.strimzi.io/v1beta2", "kafka.strimzi.io/v1")
"""No package ships these CRDs; test_strimzi.py states the shapes by hand."""

utils.schema_contents = cache(utils.schema_contents)  # else each object reads 1.5 MB of definitions again


def faults(each: dict[str, Any]) -> list[str]:
    """What is wrong with an object, by release; empty where nothing is."""
    if each["apiVersion"] in STRIMZI:
        return []
    return list(_faults(json.dumps(each, sort_keys=True)))


@cache
def _faults(text: str) -> tuple[str, ...]:
    """Cached by content: most objects are the same for many values."""
    each = json.loads(text)
    if each["apiVersion"] in _OPERATORS:
        return tuple(_of_operator(each))
    return tuple(_of_kubernetes(each))


def _of_kubernetes(each: dict[str, Any]) -> Iterator[str]:
    for release in KUBERNETES:
        try:
            kubernetes_validate.validate(each, release, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"Kubernetes {release}: {'.'.join(map(str, error.absolute_path))}: {error.message[:300]}"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield error.message


def _of_operator(each: dict[str, Any]) -> Iterator[str]:
    known = _OPERATORS[each["apiVersion"]]
    if each["kind"] not in known:
        yield f"found no schema for {each['kind']} of {each['apiVersion']}"
        return
    for error in _validator(each["apiVersion"], each["kind"]).iter_errors(each):
        yield f"{each['apiVersion']}: {'.'.join(map(str, error.absolute_path))}: {error.message[:300]}"


@cache
def _validator(api: str, kind: str) -> Draft202012Validator:
    schema = _OPERATORS[api][kind].model_json_schema(by_alias=True)
    for part in (schema, *schema["$defs"].values()):
        if "properties" in part:
            part["additionalProperties"] = False
    return Draft202012Validator(schema)
