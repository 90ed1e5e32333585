"""The boards are as declared, are dashboards to Grafana, ask for series that exist, and lead to the runbook.

That every query runs and has an answer is tested against a real Prometheus in tests/integration/test_dashboard_queries.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard
from ruamel.yaml import YAML

from omniguard.observability.dashboards import BOARDS, FOLDER, Board, Panel, files, quantile, scoped, stale
from omniguard.observability.dashboards.__main__ import main
from promql import check_series
from runbook import sections

register_default_plugins()
ALERTS = {
    rule["alert"]
    for group in YAML(typ="safe").load(resources("omniguard.observability").joinpath("alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
PANELS = [pytest.param(panel, id=f"{board.uid}: {panel.title}") for board in BOARDS for panel in board.panels]
boards = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)


def test_the_files_are_what_the_declaration_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err
    assert sorted(path.name for path in FOLDER.glob("*.json")) == sorted(files())


def test_a_file_that_differs_is_missing_or_superfluous_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    changed, gone, *_ = files()
    (tmp_path / changed).write_text("{}")
    (tmp_path / gone).unlink()
    (tmp_path / "old.json").write_text("{}")
    assert stale(tmp_path) == [changed, gone, "old.json"]
    assert main(["--check", str(tmp_path)]) == 1
    assert f"{tmp_path / gone}: differs from the code" in capsys.readouterr().err


def lost(ours: Any, read: Any, path: str = "") -> Iterator[str]:
    """Where Grafana's types dropped or changed something of ours; defaults that they add do not matter."""
    if isinstance(ours, dict) and isinstance(read, dict):
        for key, value in ours.items():
            yield from lost(value, read[key], f"{path}/{key}") if key in read else [f"{path}/{key}"]
    elif isinstance(ours, list) and isinstance(read, list) and len(ours) == len(read):
        for index, (one, other) in enumerate(zip(ours, read, strict=True)):
            yield from lost(one, other, f"{path}/{index}")
    elif ours != read:
        yield path


@boards
def test_grafanas_own_types_know_every_key(board: Board) -> None:
    ours = board.json_model()
    read = json.loads(json.dumps(Dashboard.from_json(ours), cls=JSONEncoder))
    # A key of the Prometheus data source's annotations, which those types do not cover.
    assert list(lost(ours, read)) == ["/annotations/list/0/titleFormat"]


def test_a_key_that_grafana_does_not_know_is_found() -> None:
    ours = BOARDS[0].json_model()
    ours["panels"][1]["fieldConfig"]["defaults"]["units"] = "s"
    read = json.loads(json.dumps(Dashboard.from_json(ours), cls=JSONEncoder))
    assert "/panels/1/fieldConfig/defaults/units" in list(lost(ours, read))


@boards
def test_panels_lie_beside_one_another_and_have_numbers_of_their_own(board: Board) -> None:
    taken: dict[tuple[int, int], int] = {}
    numbers = []
    for top in board.json_model()["panels"]:
        for panel in [top, *top.get("panels", [])]:
            numbers.append(panel["id"])
            place = panel["gridPos"]
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    assert x < 24
                    # What is in a closed row is laid out once that is open.
                    assert taken.setdefault((x, y), panel["id"]) == panel["id"]
    assert len(numbers) == len(set(numbers)) > len(board.panels)


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_it_shows_in_which_unit_and_where_to_read_on(panel: Panel) -> None:
    assert panel.title
    assert panel.description.endswith(".")
    assert panel.unit in {getattr(units, name) for name in dir(units) if name[0].isupper()}
    assert set(panel.alerts) <= ALERTS & sections().keys()
    assert panel.queries
    assert len(panel.queries) == 1 or all(query.legend for query in panel.queries)


def test_every_alert_has_a_panel_that_shows_what_it_is_about() -> None:
    assert {alert for board in BOARDS for panel in board.panels for alert in panel.alerts} == ALERTS


def test_links_of_panels_lead_to_sections_of_the_runbook() -> None:
    links = re.findall(r'"url": "\$\{runbook\}#(\w+)"', "".join(files().values()))
    assert set(links) == {name.lower() for name in sections()}


@pytest.mark.parametrize("panel", PANELS)
def test_every_series_label_and_legend_of_a_query_exists(panel: Panel) -> None:
    for query in panel.queries:
        assert re.search(r"\b(omniguard_|nv_|ALERTS\b)", query.expression)
        check_series(query.expression)
        check_series(scoped(query.expression).replace("$lane", "live"))
        named = set(re.findall(r"{{(\w+)}}", query.legend))
        kept = set(re.findall(r"\w+", " ".join(re.findall(r"\bby \(([^)]*)\)", query.expression)))) - {"le"}
        assert named <= kept | ({"instance", "gpu_uuid"} if query.expression.startswith("nv_gpu") else set())


@pytest.mark.parametrize(
    ("plain", "narrowed"),
    [
        ("omniguard_window_events", 'omniguard_window_events{namespace=~"$namespace",release=~"$release"}'),
        (
            "max(omniguard_lag_age_seconds)",
            'max(omniguard_lag_age_seconds{namespace=~"$namespace",release=~"$release",lane=~"$lane"})',
        ),
        (
            'omniguard_verdict_age_seconds_count{lane="live"}',
            'omniguard_verdict_age_seconds_count{lane="live",namespace=~"$namespace",release=~"$release"}',
        ),
        (
            quantile(0.5, 'omniguard_guard_duration_seconds{mode="label"}', "stage"),
            "histogram_quantile(0.5, sum by (le, stage) (rate(omniguard_guard_duration_seconds_bucket"
            '{mode="label",namespace=~"$namespace",release=~"$release"}[$__rate_interval])))',
        ),
    ],
)
def test_every_series_is_held_to_what_was_chosen(plain: str, narrowed: str) -> None:
    assert scoped(plain) == narrowed


@boards
def test_every_variable_that_queries_use_is_there(board: Board) -> None:
    model = board.json_model()
    there = {each["name"] for each in model["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(model["panels"])))
    assert used <= there
    assert {"namespace", "release"} <= used
    assert ("lane" in there) is board.lanes


def test_no_field_of_a_panel_goes_unused() -> None:
    """A field that every panel leaves as it is would be one too many."""
    for field in fields(Panel):
        assert len({repr(getattr(panel, field.name)) for board in BOARDS for panel in board.panels}) > 1, field.name
