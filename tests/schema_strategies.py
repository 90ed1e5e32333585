"""Hypothesis strategies from our own JSON Schemas: what they allow, and the same with one place in it that they do not."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

Strategy = st.SearchStrategy[Any]
_TIMES = st.datetimes(timezones=st.sampled_from([st.timezones()]).flatmap(lambda zones: zones)).map(lambda t: t.isoformat())


def allowed(schema: Mapping[str, Any], root: Mapping[str, Any] | None = None) -> Strategy:
    """Values that the schema allows. Of a `oneOf` over what must be there, exactly one is."""
    root = schema if root is None else root
    if "$ref" in schema:
        return allowed(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root)
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of(*(allowed(each, root) for each in schema["anyOf"]))
    kind = schema["type"]
    if kind == "object":
        return _objects(schema, root)
    if kind == "array":
        return st.lists(allowed(schema["items"], root), min_size=schema.get("minItems", 0), max_size=min(3, schema["maxItems"]))
    if kind == "integer":
        return st.integers(schema.get("minimum"), schema.get("maximum"))
    return st.none() if kind == "null" else _texts(schema)


def _texts(schema: Mapping[str, Any]) -> Strategy:
    if schema.get("format") == "date-time":
        return _TIMES
    if schema.get("contentEncoding") == "base64":
        return st.binary(max_size=40).map(lambda data: base64.b64encode(data).decode())
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True).map(str.strip)
    return st.text(min_size=schema.get("minLength", 0), max_size=min(20, schema.get("maxLength", 20)))


def _objects(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Strategy:
    fields = {name: allowed(each, root) for name, each in schema["properties"].items()}
    required = {name: fields[name] for name in schema.get("required", ())}
    optional = {name: each for name, each in fields.items() if name not in required}
    if "oneOf" not in schema:
        return st.fixed_dictionaries(required, optional=optional)
    choices = [each["required"][0] for each in schema["oneOf"]]
    free = {name: each for name, each in optional.items() if name not in choices}
    return st.one_of(
        *(
            st.fixed_dictionaries({**required, name: fields[name].filter(lambda value: value is not None)}, optional=free)
            for name in choices
        )
    )
