"""values.yaml, its schema and the README say the same of the same keys."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from chart.rendering import CHART, template
from deploy.chart import described, readme, undescribed

VALUES = (CHART / "values.yaml").read_text()
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def _resolved(part: dict[str, Any]) -> dict[str, Any]:
    """A part of the schema with what it refers to; its own description goes first."""
    while "$ref" in part:
        found: Any = SCHEMA
        for key in part["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        part = {**found, **{key: value for key, value in part.items() if key != "$ref"}}
    return part


def _paths(part: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    for key, inner in _resolved(part).get("properties", {}).items():
        yield (*path, key), _resolved(inner)
        yield from _paths(inner, (*path, key))


IN_SCHEMA = dict(_paths(SCHEMA))
KEYS = {value.path: value for value in described(VALUES)}


def test_every_value_is_described() -> None:
    assert not undescribed(VALUES)
    short = [value.path for value in KEYS.values() if len(value.text) < 4 or not value.text.endswith((".", "}", "]", ":"))]
    assert not short


def test_every_value_is_in_the_schema_with_a_description() -> None:
    assert not KEYS.keys() - IN_SCHEMA.keys(), "add it to values.schema.json: its type, its bounds, the words it may be"
    assert not [path for path in KEYS if not IN_SCHEMA[path].get("description")]


def test_the_schema_knows_no_value_that_is_not_there() -> None:
    """Lanes take what is common to all of them; `settings` takes what docs/settings.md has; the rest is as in values.yaml."""
    common = {path[2:] for path in IN_SCHEMA if path[:2] == ("workers", "common")}
    lanes = {("workers", lane, *path) for lane in ("live", "backfill", "late") for path in common}
    above = {path[:length] for path in KEYS for length in range(1, len(path))}
    free = {path for path in IN_SCHEMA if "settings" in path[:-1]} | {path for path in IN_SCHEMA if "affinity" in path[:-1]}
    free |= {
        path for path in IN_SCHEMA if path[:2] == ("policy", "tenants")
    }  # a file's contents, of which the program knows more
    unknown = IN_SCHEMA.keys() - KEYS.keys() - above - lanes - free
    assert not unknown


def test_the_defaults_are_of_their_types() -> None:
    errors = Draft202012Validator(SCHEMA).iter_errors(YAML(typ="safe").load(VALUES))
    assert not [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]


def test_every_map_of_fixed_keys_refuses_others() -> None:
    """A misspelt key would otherwise be taken and do nothing."""
    open_ = [path for path, part in IN_SCHEMA.items() if "properties" in part and part.get("additionalProperties", True) is True]
    assert set(open_) <= {("global",), ("policy", "tenants")}, (
        "shared with charts that hold this one; a file, which a worker reads"
    )


def test_readme_and_schema_are_up_to_date() -> None:
    done = subprocess.run([sys.executable, "-m", "deploy.chart", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_copies_in_the_chart_are_up_to_date() -> None:
    done = subprocess.run([sys.executable, "-m", "deploy.files", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_changed_comment_changes_the_readme() -> None:
    """The check above can fail."""
    text = (CHART / "README.md").read_text()
    assert readme(text, VALUES) == text
    assert readme(text, VALUES.replace("# -- Brokers, host:port by commas.", "# -- Brokers.")) != text


def test_the_readme_names_every_value() -> None:
    text = (CHART / "README.md").read_text()
    for path, value in KEYS.items():
        if value.shown is not None:
            assert f"| `{'.'.join(path)}` |" in text


def test_the_readmes_values_are_ones_that_the_chart_takes() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (CHART / "README.md").read_text(), re.DOTALL)
    done = template("--values", "-", stdin=example)
    assert done.returncode == 0, done.stderr
