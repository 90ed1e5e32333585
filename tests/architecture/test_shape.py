"""The worker and the guard's side stay apart, errors are handled by name, and no file grows out of sight.

Which part may import which is in `tests/unit/test_imports.py`.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SERVICES = Path(__file__).parents[2] / "services"
PACKAGE = SERVICES / "omniguard"
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 300

BORDERS = {
    "adapters/faust_worker.py",
    "stages/explain.py",
    "stages/intake.py",  # it reads records before their starts can set them aside
    "stages/moderate.py",
    "stages/pipeline.py",
}


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


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
