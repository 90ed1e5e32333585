"""Imports go one way, the worker and the guard's side stay apart, and no file grows out of sight."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVICES = Path(__file__).parents[2] / "services"
PACKAGE = SERVICES / "omniguard"
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 300

# What each layer may import of ours, itself included. `errors` is importable by all; ports and stages speak the guard's wire.
LAYERS: dict[str, set[str]] = {
    "domain": {"domain"},
    "errors": {"domain"},
    "guard": {"domain", "errors", "guard"},
    "ports": {"domain", "errors", "guard.wire"},
    "media": {"domain", "errors", "media"},
    "settings": {"errors", "domain"},
    "observability": {"domain", "errors", "guard.wire", "settings", "observability"},
    "contracts": {"domain", "errors", "media", "ports", "contracts"},
    "stages": {"domain", "errors", "guard.wire", "media", "ports", "contracts", "observability", "stages"},
    "consume": {"domain", "errors", "contracts"},
    "adapters": {
        "domain", "errors", "guard.wire", "media", "ports", "contracts", "observability", "settings", "stages", "adapters",
    },
    "bootstrap": {"domain", "errors", "ports", "contracts", "observability", "settings", "stages", "adapters"},
}  # fmt: skip
BORDERS = {
    "adapters/faust_worker.py",
    "stages/explain.py",
    "stages/moderate.py",
    "stages/pipeline.py",
}


def imports_of(path: Path) -> Iterator[str]:
    """Absolute names of every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_towards_the_domain(path: Path) -> None:
    allowed = LAYERS.get(layer_of(path))
    if allowed is None:  # entrypoints, the developer's stack, evaluation: nobody imports them
        return
    ours = [name.removeprefix("omniguard.") for name in imports_of(path) if name.startswith("omniguard.")]
    wrong = [name for name in ours if not any(name == a or name.startswith(f"{a}.") for a in allowed)]
    assert not wrong, f"{layer_of(path)} may import {sorted(allowed)} of ours and imports {wrong}"


@pytest.mark.parametrize("outer", ["entrypoints", "devstack", "bootstrap"])
def test_nothing_inside_imports_what_composes_it(outer: str) -> None:
    wrong = [
        str(path.relative_to(PACKAGE))
        for path in FILES
        if layer_of(path) in LAYERS and layer_of(path) != outer
        for name in imports_of(path)
        if name == f"omniguard.{outer}" or name.startswith(f"omniguard.{outer}.")
    ]
    assert not wrong


@pytest.mark.parametrize("path", sorted((PACKAGE / "domain").glob("*.py")), ids=lambda p: p.name)
def test_the_domain_needs_the_standard_library_alone(path: Path) -> None:
    foreign = {name.split(".")[0] for name in imports_of(path)} - {"omniguard", "__future__"} - sys.stdlib_module_names
    assert not foreign


def loaded_by(module: str) -> set[str]:
    """Top-level modules in a fresh process that imported `module`."""
    code = f"import sys, {module}; print(*sorted(sys.modules), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=SERVICES)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_the_worker_needs_no_model_runtime() -> None:
    assert not loaded_by("omniguard.entrypoints.worker") & {
        "torch",
        "onnxruntime",
        "tritonserver",
        "transformers",
        "faster_whisper",
    }


def test_the_guard_needs_no_consumer_and_no_store() -> None:
    found = loaded_by("omniguard.guard.service") | loaded_by("omniguard.guard.lite.engine")
    assert not found & {"faust", "mode", "aiokafka", "redis", "tritonclient"}


def test_reading_verdicts_needs_neither_faust_nor_the_pipeline() -> None:
    assert not loaded_by("omniguard.consume") & {"faust", "mode", "redis", "av", "tritonclient"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_error_is_swallowed(path: Path) -> None:
    """`except Exception` stands at a few borders alone; everywhere else a handler names what it handles."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ExceptHandler):
            continue
        names = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)} if node.type else {"everything"}
        empty = all(isinstance(statement, ast.Pass) for statement in node.body)
        broad = names & {"Exception", "BaseException", "everything"}
        assert not (empty and broad), f"line {node.lineno}: except {names}: pass"
        if broad and layer_of(path) in ("stages", "adapters", "contracts", "domain"):
            assert str(path.relative_to(PACKAGE)) in BORDERS or _reraises(node), f"line {node.lineno}: except {names}"


def _reraises(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(node, ast.Raise) for node in ast.walk(handler))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_stay_readable(path: Path) -> None:
    assert len(path.read_text().splitlines()) < LONGEST
