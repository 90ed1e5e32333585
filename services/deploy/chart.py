"""What the chart says of its values, once: the comments of values.yaml become the README's tables and the schema's descriptions.

    python -m deploy.chart            write helm/omniguard/README.md (between its markers) and values.schema.json (descriptions)
    python -m deploy.chart --check    fail where one of them is not what the comments make

A comment that begins with `# -- ` describes the key below it; further comment lines go on with it. What `settings` may hold is
made from omniguard/settings.py: every name that is no secret, with its type and bounds; what a tenant may hold, from
what reads the tenants file, so that a mistake is told before any pod starts.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from ruamel.yaml import YAML

from omniguard.contracts.policy_file import shipped_names
from omniguard.contracts.tenants_file import TenantFile
from omniguard.settings import Settings

CHART = Path(__file__).parents[2] / "helm/omniguard"
BEGIN, END = "<!-- values: begin -->", "<!-- values: end -->"
_WIDTH = 130
_KEPT = {
    "type", "enum", "items", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength",
    "minItems", "additionalProperties", "required",
}  # fmt: skip
_KEY = re.compile(r"( *)([A-Za-z][\w.-]*):(?: |$)")


@dataclass(frozen=True, slots=True)
class Value:
    """A described key of values.yaml. `shown` is its default as the table has it, None where deeper keys are described."""

    path: tuple[str, ...]
    text: str
    shown: str | None


def described(values: str) -> list[Value]:
    """Every key with a comment of its own, in the order of the file."""
    defaults = YAML(typ="safe").load(values)
    texts = dict(_texts(values))
    inner = {path[:length] for path in texts for length in range(1, len(path))}
    return [
        Value(path, text, None if path in inner else json.dumps(_at(defaults, path), ensure_ascii=False))
        for path, text in texts.items()
    ]


def undescribed(values: str) -> list[tuple[str, ...]]:
    """Keys that neither have a comment nor lie below one that speaks for all below it."""
    return sorted(_uncovered(YAML(typ="safe").load(values), (), {value.path: value for value in described(values)}))


def tables(values: str) -> str:
    """The README's part: one table for each key at the top that has others in it, after one of those that have none."""
    found = described(values)
    headings = [value for value in found if len(value.path) == 1 and value.shown is None]
    lines = _table([value for value in found if len(value.path) == 1 and value.shown is not None])
    for heading in headings:
        below = [value for value in found if value.path[0] == heading.path[0] and value.shown is not None]
        lines += ["", f"### {heading.path[0]}", "", heading.text, "", *_table(below)]
    return "\n".join(lines)


def readme(text: str, values: str) -> str:
    """The README with its tables made anew."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"found no markers in README.md, expected {BEGIN} and {END}: put them where the tables go")
    return f"{before}{begin}\n{tables(values)}\n{end}{after}"


def schema(text: str, values: str) -> str:
    """The schema with descriptions and settings made anew; a key that it lacks is left to its test."""
    whole = json.loads(text)
    whole["$defs"]["settings"] = settings_schema()
    whole["$defs"]["tenant"] = tenant_schema()
    for value in described(values):
        if (part := _property(whole, value.path)) is not None:
            part["description"] = value.text
    return _form(whole) + "\n"


def _property(part: Any, path: tuple[str, ...]) -> Any:
    """The schema of a key; None where it lies behind a reference, whose own description stands."""
    for key in path:
        part = part.get("properties", {}).get(key)
        if part is None:
            return None
    return part


def settings_schema() -> dict[str, Any]:
    """What the groups of settings take that are groups by name alone: credentials of object stores have a value of their own."""
    groups = {name: field.annotation for name, field in Settings.model_fields.items() if isinstance(field.annotation, type)}
    return _closed({name: _closed(dict(_settings(group))) for name, group in groups.items() if issubclass(group, BaseModel)})


def _settings(group: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    known = group.model_json_schema()
    for name, field in group.model_fields.items():
        if SecretStr in (field.annotation, *get_args(field.annotation)):
            continue
        found = known["properties"][name]
        found = next((each for each in found.get("anyOf", ()) if each != {"type": "null"}), found)
        found = known["$defs"][found["$ref"].rpartition("/")[2]] if "$ref" in found else found
        yield name, {"description": field.description} | {key: each for key, each in found.items() if key in _KEPT}


def tenant_schema() -> dict[str, Any]:
    """What one tenant of the tenants file takes, with the names of the shipped policies."""
    known = TenantFile.model_json_schema()
    known["properties"]["policy"]["pattern"] = rf"^({'|'.join(shipped_names())}|.+\.ya?ml)$"
    found: dict[str, Any] = _plain(known, known["$defs"])
    return found


def _plain(part: Any, defs: dict[str, Any]) -> Any:
    """A schema without references and without what says nothing of values; of what may be null, the type says so."""
    if isinstance(part, list):
        return [_plain(each, defs) for each in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _plain(defs[part["$ref"].rpartition("/")[2]], defs)
    if "anyOf" in part:
        given = _plain(next(each for each in part["anyOf"] if each != {"type": "null"}), defs)
        allowed = {"enum": [*given["enum"], None]} if "enum" in given else {}
        return given | allowed | {"type": [given["type"], "null"]}
    kept = {key: value for key, value in part.items() if key in _KEPT}
    properties = {name: _plain(each, defs) for name, each in part.get("properties", {}).items()}
    return {key: _plain(value, defs) for key, value in kept.items()} | ({"properties": properties} if properties else {})


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def main(arguments: list[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="deploy.chart", description="The chart's README and schema from its values' comments.")
    parser.add_argument("--check", action="store_true", help="fail where they differ, and write nothing")
    check = parser.parse_args(arguments).check
    values = (CHART / "values.yaml").read_text()
    stale = []
    for path, make in ((CHART / "README.md", readme), (CHART / "values.schema.json", schema)):
        found = path.read_text()
        if found != (made := make(found, values)):
            stale.append(path.name)
            if not check:
                path.write_text(made)
    if check and stale:
        print(f"found {' and '.join(stale)} out of date, expected what values.yaml's comments make: make docs", file=sys.stderr)
    return int(check and bool(stale))


def _texts(values: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Path and comment of every key that has one."""
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in values.splitlines():
        said = line.strip()
        if said.startswith("# -- "):
            comment = [said.removeprefix("# -- ")]
        elif said.startswith("#") and comment:
            comment.append(said.removeprefix("#").strip())
        elif key := _KEY.match(line):
            depth = len(key[1])
            path = [*(step for step in path if step[0] < depth), (depth, key[2])]
            if comment:
                yield tuple(name for _, name in path), " ".join(comment)
            comment = []
        elif not said:
            comment = []


def _at(values: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        values = values[key]
    return values


def _uncovered(values: Any, path: tuple[str, ...], known: dict[tuple[str, ...], Value]) -> Iterator[tuple[str, ...]]:
    if path in known and known[path].shown is not None:
        return
    if not isinstance(values, dict):
        yield path
        return
    for key, value in values.items():
        yield from _uncovered(value, (*path, key), known)


def _table(values: list[Value]) -> list[str]:
    return ["| Value | Default | Meaning |", "|---|---|---|", *map(_row, values)]


def _row(value: Value) -> str:
    cells = (f"`{'.'.join(value.path)}`", f"`{value.shown}`", value.text)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _form(value: Any, indent: int = 0, begun: int = 0) -> str:
    """JSON in which whatever fits stands on one line; `begun` is how much of its first line is taken."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + begun + 1 <= _WIDTH or not isinstance(value, dict | list):
        return line
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        keys = {key: f"{pad}{json.dumps(key)}: " for key in value}
        items = [f"{keys[key]}{_form(each, indent + 2, len(keys[key]))}" for key, each in value.items()]
    else:
        items = [f"{pad}{_form(each, indent + 2, indent + 2)}" for each in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return "\n".join((opening, ",\n".join(items), " " * indent + closing))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
