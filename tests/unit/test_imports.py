"""Imports go one way, so that a part can be read, tested and replaced without those above it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "services" / "omniguard"
BELOW: dict[str, set[str]] = {
    "domain": set(),
    "errors": {"domain"},
    "guard": {"domain", "errors"},
    "settings_links": set(),
    "settings": {"domain", "errors", "settings_links"},
    "ports": {"domain", "guard.wire"},
    "media": {"domain", "errors", "ports"},
    "contracts": {"domain", "errors", "ports"},
    "observability": {"domain", "errors", "guard.wire"},
    "stages": {"domain", "errors", "guard.wire", "ports", "media", "contracts", "observability"},
    "adapters": {"domain", "errors", "guard.wire", "ports", "media", "contracts", "observability", "stages", "settings"},
    "consume": {"domain", "contracts"},
    "samples": {"contracts"},
    "devstack": {"errors"},
    "evaluation": {"domain", "errors", "guard"},
    "bootstrap": {"domain", "errors", "ports", "contracts", "media", "observability", "stages", "adapters", "settings"},
}
"""What each part may import besides itself; `guard.wire` alone is the contract with the model. The rest may import anything."""


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("part", BELOW)
def test_a_part_imports_only_what_is_below_it(part: str) -> None:
    files = [PACKAGE / f"{part}.py"] if (PACKAGE / f"{part}.py").exists() else sorted((PACKAGE / part).rglob("*.py"))
    assert files
    allowed = {f"omniguard.{name}" for name in (part, *BELOW[part])}
    for file in files:
        ours = [name for name in imported(file) if name.startswith("omniguard.")]
        wrong = [name for name in ours if not any(f"{name}.".startswith(f"{each}.") for each in allowed)]
        assert not wrong, f"{file.relative_to(PACKAGE)} imports {wrong}"


def test_the_domain_needs_the_standard_library_alone() -> None:
    for file in (PACKAGE / "domain").rglob("*.py"):
        foreign = {name.partition(".")[0] for name in imported(file)} - sys.stdlib_module_names - {"omniguard"}
        assert not foreign, f"{file.name} imports {foreign}"
