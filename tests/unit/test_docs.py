"""README and docs say what is so: commands run, targets and settings exist, links lead somewhere, files named are there."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from omniguard.contracts.content_event import ContentEvent
from omniguard.contracts.tenants_file import load_tenants
from omniguard.domain.taxonomy import TEST_PHRASE
from omniguard.entrypoints.cli import app
from omniguard.entrypoints.cli_page import commands
from omniguard.reference import settings_page

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "helm/omniguard/README.md", "k8s/README.md")),
        *(ROOT / "docs").rglob("*.md"),
    ]
)
COMMANDS = dict(commands())
OTHER_VARIABLES = {"OMNIGUARD_ASSETS", "OMNIGUARD_CACHE", "OMNIGUARD_LOAD_IMAGE", "OMNIGUARD_TEST_HOST"}
"""Of the developer's tools, not of the worker: no settings."""
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page: Path, language: str) -> list[str]:
    """Fenced code of a language, without the indent of a list it may stand in."""
    found = re.finditer(rf"^( *)```{language}\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{match[1]}", "", match[2], flags=re.MULTILINE) for match in found]


def code(page: Path) -> list[str]:
    """Lines of shell-like blocks, and what stands in backticks."""
    text = page.read_text()
    fenced = [line for block in blocks(page, "") + blocks(page, "bash") for line in block.splitlines()]
    return fenced + re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def called(line: str) -> list[str]:
    """The words of a call of `omniguard` in a line, none if there is none."""
    found = re.match(r"\s*(?:\.venv/bin/)?omniguard ([a-z].*)", line.partition("  #")[0])
    return found[1].split() if found else []


@each_page
def test_every_command_named_exists_with_its_options(page: Path) -> None:
    for words in filter(None, map(called, code(page))):
        name = next((n for n in (f"omniguard {' '.join(words[:k])}" for k in (2, 1)) if n in COMMANDS), None)
        if name is None:  # a group, as in "`omniguard dev`", or several with bars between
            groups = {known.split()[1] for known in COMMANDS}
            assert words[0] in groups, f"{page.name}: no command omniguard {' '.join(words)}"
            continue
        known = {option for param in COMMANDS[name].params for option in param.opts} | {"--help"}
        used = {word for word in words if word.startswith("--")}
        assert used <= known, f"{page.name}: {name} has no {used - known}"


@each_page
def test_every_make_target_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in code(page):
        if found := re.match(r"\s*make ([a-z-]+)", line):
            assert found[1] in targets, f"{page.name}: make has no {found[1]}"


@each_page
def test_every_setting_named_exists(page: Path) -> None:
    known = set(re.findall(r"`(OMNIGUARD_[A-Z0-9_<>]+)`", settings_page()))
    patterns = [re.compile(re.escape(name).replace("<NAME>", "[A-Z0-9]+") + "$") for name in known]
    for name in re.findall(r"\bOMNIGUARD_[A-Z0-9_]+[A-Z0-9]\b", page.read_text()):
        assert name in OTHER_VARIABLES or any(p.match(name) for p in patterns), f"{page.name}: no setting {name}"


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target} is not there"


@each_page
def test_python_and_json_can_be_read(page: Path) -> None:
    for block in blocks(page, "python"):
        ast.parse(block)
    for block in blocks(page, "json"):
        json.loads(block)


def test_the_readme_lists_every_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)) - {"help"}
    closing = (ROOT / "README.md").read_text().partition("`make` lists the targets: ")[2].partition(". ")[0]
    assert set(re.findall(r"`([a-z-]+)`", closing)) == targets


def test_the_readmes_event_is_one() -> None:
    (event,) = blocks(ROOT / "README.md", "json")
    ContentEvent.model_validate_json(event)


def test_the_readmes_tenants_file_is_right(tmp_path: Path) -> None:
    (tenants,) = blocks(ROOT / "README.md", "yaml")
    (tmp_path / "tenants.yaml").write_text(tenants)
    (tmp_path / "policies").mkdir()
    shipped = ROOT / "services/omniguard/policies/default.yaml"
    (tmp_path / "policies/mine.yaml").write_text(shipped.read_text())
    tenant = load_tenants(tmp_path / "tenants.yaml").find("acme")
    assert tenant is not None
    assert not tenant.enforce


def test_the_readmes_settings_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    exports = re.findall(r"export (OMNIGUARD_\w+)=(\S+)", (ROOT / "README.md").read_text())
    assert len(exports) >= 5
    secret = tmp_path / "s3"
    secret.write_text("not-shown")
    for name, value in exports:
        monkeypatch.setenv(name, str(secret) if name.endswith("_FILE") else value)
    shown = CliRunner().invoke(app, ["settings", "--json"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["kafka"]["bootstrap"] == "broker-1:9092,broker-2:9092"
    assert "not-shown" not in shown.output


def test_the_readmes_python_runs_up_to_the_broker() -> None:
    (script,) = blocks(ROOT / "README.md", "python")
    names: dict[str, object] = {"__name__": "readme"}
    exec(compile(script.replace("asyncio.run(main())", "pass"), "README.md", "exec"), names)
    assert callable(names["main"])


def test_the_readmes_test_phrase_is_the_one() -> None:
    assert f"`{TEST_PHRASE}`" in (ROOT / "README.md").read_text()
