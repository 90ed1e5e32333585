"""The published contract: generated files agree with the code, examples with the schemas and with our parsers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from omniguard.contracts import critique, dead_letter, emerging_risk, free_name, verdict
from omniguard.contracts.content_event import parse
from omniguard.contracts.policy_file import SHIPPED
from omniguard.contracts.schemas import SCHEMAS, asyncapi, json_schema
from omniguard.contracts.topics import Component, Topics
from omniguard.contracts.yaml_file import YamlFile
from omniguard.domain.lane import Lane
from omniguard.entrypoints.contract import contract_app, stale_files

DOCS = Path("docs/contract")
EXAMPLES = sorted((DOCS / "examples").glob("*.json"))
PARSERS = {"verdict": verdict.decode, "critique": critique.decode}
OPEN_LANE = {"free": (free_name.decode, "{0.tenant}"), "emerging": (emerging_risk.decode, "{0.tenant}|{0.risk_id}")}


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def validator(schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


def test_generated_files_agree_with_the_code() -> None:
    assert stale_files(DOCS) == []


def test_check_says_what_differs(tmp_path: Path) -> None:
    run = CliRunner().invoke
    assert run(contract_app, ["export", "--out", str(tmp_path)]).exit_code == 0
    assert run(contract_app, ["check", "--out", str(tmp_path)]).exit_code == 0
    (tmp_path / "asyncapi.json").write_text("{}")
    (tmp_path / "schemas" / "verdict.v1.json").unlink()
    (tmp_path / "schemas" / "verdict.v0.json").write_text("{}")
    result = run(contract_app, ["check", "--out", str(tmp_path), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["stale"] == ["asyncapi.json", "schemas/verdict.v0.json", "schemas/verdict.v1.json"]


def test_every_message_has_an_example() -> None:
    names = {path.stem for path in EXAMPLES}
    assert names >= {"content-event", "content-event-binary", "content-deleted", "critique", "critique-none", "dead-letter"}
    assert names >= {"free-name", "emerging-risk"}
    assert names >= {f"verdict-{status}" for status in ("provisional", "final", "indeterminate", "retracted", "binary")}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example_satisfies_its_schema(path: Path) -> None:
    example = load(path)
    if path.stem.startswith("dead-letter"):
        ours = {k.removeprefix("omniguard-"): v for k, v in example["headers"].items() if k.startswith("omniguard-")}
        numbers = {k: int(v) if k in ("origin-partition", "origin-offset", "attempts") else v for k, v in ours.items()}
        validator(json_schema("dead-letter-headers.v1")).validate(numbers)
        if "omitted" in ours:
            validator(json_schema("dead-letter-omitted.v1")).validate(example["value"])
        return
    binary = path.stem.endswith("-binary")
    attributes = {k.removeprefix("ce_"): v for k, v in example["headers"].items() if k.startswith("ce_")}
    event = {**attributes, "data": example["value"]} if binary else example["value"]
    validator(json_schema(event["type"].removeprefix("omniguard."))).validate(event)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example_is_read_by_our_parser(path: Path) -> None:
    example = load(path)
    key, value = example["key"].encode(), json.dumps(example["value"]).encode()
    headers = {name: text.encode() for name, text in example["headers"].items()}
    kind = path.stem.split("-")[0]
    if kind == "content":
        assert parse(key, value, headers).identity.key.encode() == key
    elif kind == "dead":
        assert dead_letter.decode(headers).origin_topic == "content-events"
    elif kind in OPEN_LANE:
        decode, key_of = OPEN_LANE[kind]
        assert key_of.format(decode(value, headers)).encode() == key
    else:
        data = PARSERS[kind](value, headers)
        assert f"{data.tenant}|{data.content_id}".encode() == key


@pytest.mark.parametrize(
    ("schema", "broken"),
    [
        ("content-event.v1", {"parts": []}),
        ("content-event.v1", {"parts": [{"id": "p", "modality": "text", "text": "x", "uri": "s3://b/k"}]}),
        ("content-event.v1", {"tenant": "Acme"}),
        ("content-event.v1", {"content_version": "1"}),
        ("content-deleted.v1", {"content_version": -1}),
    ],
)
def test_schema_refuses_what_the_parser_refuses(schema: str, broken: dict[str, Any]) -> None:
    event = load(DOCS / "examples" / f"{schema.removesuffix('.v1')}.json")["value"]
    validator(json_schema(schema)).validate(event)
    event["data"].update(broken)
    with pytest.raises(jsonschema.ValidationError):
        validator(json_schema(schema)).validate(event)


@pytest.mark.parametrize("name", ["default", "lite-demo"])
def test_shipped_policies_satisfy_the_published_schema(name: str) -> None:
    from omniguard.contracts.yaml_file import _plain

    validator(json_schema("policy-file")).validate(_plain(YamlFile(SHIPPED / f"{name}.yaml")._document))


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_asyncapi_references_resolve() -> None:
    document = asyncapi()
    found = set(references(document))
    assert len(found) > 10
    for reference in found:
        if reference.startswith("#/"):
            node: Any = document
            for step in reference[2:].split("/"):
                node = node[step]
        else:
            assert (DOCS / reference).is_file()


def test_asyncapi_declares_every_topic_and_schema() -> None:
    document = asyncapi()
    assert set(document["channels"]) == {t.name for t in Topics().all}
    messages = {name.removesuffix(".v1") for name in SCHEMAS if name.endswith(".v1") and not name.startswith("dead")}
    payloads = {re.sub(r".*/(.*)\.v1\.json", r"\1", r) for r in references(document["components"]) if "dead" not in r}
    assert payloads == messages


class TestTopics:
    def test_names_with_and_without_a_prefix(self) -> None:
        names = ["content-events", "content-events.backfill", "content-events.late", "verdicts", "critiques", "dead-letters"]
        names += ["free-names", "emerging-risks"]
        assert [t.name for t in Topics().all] == names
        assert [t.name for t in Topics("x.").all] == [f"x.{name}" for name in names]
        assert Topics("x.").group(Lane.LATE) == "x.omniguard-late"

    def test_nothing_is_compacted(self) -> None:
        assert {t.cleanup_policy for t in Topics().all} == {"delete"}

    def test_a_worker_writes_to_slower_lanes_only(self) -> None:
        topics = {t.name: t for t in Topics().all}
        assert Component.WORKER_LATE not in topics["content-events.backfill"].writers
        assert Component.WORKER_BACKFILL not in topics["content-events"].writers
        late = topics["content-events.late"].writers
        assert late == {Component.WORKER_LIVE, Component.WORKER_BACKFILL, Component.OPERATOR, Component.PROBE}
        assert Component.PRODUCER in topics["content-events.backfill"].writers

    def test_a_dead_letter_has_room_for_the_largest_input(self) -> None:
        topics = {t.name: t for t in Topics().all}
        assert topics["dead-letters"].max_message_bytes == topics["content-events"].max_message_bytes + 64 * 1024
        assert topics["content-events"].max_message_bytes == topics["content-events.late"].max_message_bytes
