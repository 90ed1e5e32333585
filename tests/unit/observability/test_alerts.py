"""The alert rules name series and labels that exist, behave as their cases say, and each has its section in the runbook."""

from __future__ import annotations

import re
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from promql import check_series, selectors
from promtool import promtool

RULES = [
    rule
    for group in YAML(typ="safe").load(files("omniguard.observability").joinpath("alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
CASES = sorted((Path(__file__).parent / "alerts").glob("*.yaml"))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("record") or rule["alert"])
def test_every_series_and_label_named_exists(rule: dict[str, str]) -> None:
    assert selectors(rule["expr"])
    check_series(rule["expr"], RECORDED)


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_how_urgent_it_is_and_what_it_means(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    said = rule["annotations"]
    assert said.keys() == {"summary", "description", "runbook_url"}
    assert len(said["description"]) > len(said["summary"]) / 2
    assert said["runbook_url"] == f"docs/runbook.md#{name.lower()}"


def test_promtool_reads_the_rules() -> None:
    rules = Path(str(files("omniguard.observability").joinpath("alerts.yaml")))
    done = subprocess.run([promtool(), "check", "rules", rules], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SUCCESS: {len(RULES)} rules found" in done.stdout


def test_the_rules_fire_and_keep_quiet_as_their_cases_say() -> None:
    done = subprocess.run([promtool(), "test", "rules", *CASES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == len(CASES)


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    fires, quiet = set(), set()
    for path in CASES:
        for case in YAML(typ="safe").load(path.read_text())["tests"]:
            for check in case["alert_rule_test"]:
                (fires if check["exp_alerts"] else quiet).add(check["alertname"])
    assert fires == quiet == set(ALERTS)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_series_of_the_cases_are_ones_that_a_process_tells(path: Path) -> None:
    """Else a rule could be tested on a label that no worker has."""
    for case in YAML(typ="safe").load(path.read_text())["tests"]:
        for each in case["input_series"]:
            check_series(each["series"].replace("up{", "omniguard_published_total{"), RECORDED)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("omniguard_no_such_total", "omniguard_no_such_total"),
        ('omniguard_indeterminate_total{reason=~"deadline|lateness"}', "lateness"),
        ('omniguard_indeterminate_total{cause="deadline"}', "cause"),
        ("sum by (tenant) (omniguard_indeterminate_total)", "tenant"),
        ('omniguard_stage_duration_seconds_bucket{le="0.3"}', "0.3"),
        ("omniguard_stage_duration_seconds", "omniguard_stage_duration_seconds"),
    ],
)
def test_a_name_that_does_not_exist_is_found(expression: str, found: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(found)):
        check_series(expression, RECORDED)
