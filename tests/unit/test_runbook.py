"""The runbook has a section for each alert and no other; what it tells to look at can be looked at.

That its commands exist is tested in test_docs.py, that they run in tests/integration/test_runbook_commands.py; those of kubectl
are compared with the chart in tests/chart/test_runbook_objects.py.
"""

from __future__ import annotations

import re
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from promql import check_series
from promtool import promtool
from runbook import PAGE, commands, queries, sections

GROUPS = YAML(typ="safe").load(files("omniguard.observability").joinpath("alerts.yaml").read_text())["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
SECTIONS = sections()


def test_every_alert_has_a_section_and_every_section_an_alert() -> None:
    assert SECTIONS.keys() == ALERTS.keys()


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_says_how_urgent_it_is_what_users_feel_what_to_look_at_what_to_do_and_when_it_is_over(name: str) -> None:
    body = SECTIONS[name]
    assert body.strip().startswith(f"**{ALERTS[name]['labels']['severity']}.** *Users:*")
    at = [body.find(part) for part in ("*Users:*", "*Look", "*Do", "*Over*")]
    assert min(at) >= 0
    assert at == sorted(at)
    assert "```promql" in body or "[OmniGuard" in body or "```bash" in body


@pytest.mark.parametrize("query", queries())
def test_every_series_and_label_of_a_query_exists(query: str) -> None:
    check_series(query, RECORDED)


def test_prometheus_takes_every_query(tmp_path: Path) -> None:
    rules = [{"record": f"q{number}", "expr": query} for number, query in enumerate(queries())]
    with (tmp_path / "queries.yaml").open("w") as file:
        YAML().dump({"groups": [{"name": "runbook", "rules": rules}]}, file)
    done = subprocess.run([promtool(), "check", "rules", tmp_path / "queries.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def test_commands_are_of_a_few_kinds() -> None:
    """Each kind is run against a real stack; another would go untested."""
    assert {line.split()[0] for line in commands()} == {"export", "curl", "omniguard", "kubectl"}


def test_links_to_sections_of_this_page_lead_to_one() -> None:
    anchors = {heading.lower() for heading in re.findall(r"^#+ (.+)$", PAGE.read_text(), re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE.read_text())) <= {anchor.replace(" ", "-") for anchor in anchors}
