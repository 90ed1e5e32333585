from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from omniguard.adapters.memory_guard import MemoryGuard
from omniguard.entrypoints import moderate
from omniguard.entrypoints.cli import app
from omniguard.entrypoints.uploads import parts_of

run = CliRunner().invoke
GUARD = {"stab": ("violent_crimes", 0.97), "fight": ("violent_crimes", 0.6)}


@pytest.fixture(autouse=True)
def without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard's twin in Triton's place."""
    real = moderate.judge

    async def judge(parts: object, **options: object) -> object:
        return await real(parts, **options, guard=MemoryGuard(GUARD))  # type: ignore[arg-type]

    @contextmanager
    def nowhere(*_: object):  # type: ignore[no-untyped-def]
        yield "127.0.0.1:1"

    monkeypatch.setattr(moderate, "judge", judge)
    monkeypatch.setattr(moderate, "_triton", nowhere)


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [("good morning", 0, "allow"), ("we will fight", 10, "review"), ("we will stab him", 11, "block")],
)
def test_the_exit_code_is_the_action(text: str, code: int, word: str) -> None:
    result = run(app, ["moderate", text])
    assert result.exit_code == code, result.output
    assert word in result.output


def test_what_cannot_be_examined_is_indeterminate() -> None:
    result = run(app, ["moderate", "--json", "file:///no/such/picture.png"])
    assert result.exit_code == 12
    verdict = json.loads(result.stdout)["verdict"]
    assert (verdict["status"], verdict["action"]) == ("indeterminate", "review")


def test_json_holds_verdict_and_critique() -> None:
    answer = json.loads(run(app, ["moderate", "--json", "we will stab him"]).stdout)
    assert answer["verdict"]["categories"][0]["name"] == "violent_crimes"
    assert answer["critique"]["verdict_id"] == answer["verdict"]["critique_ref"]


def test_a_policy_of_ones_own(tmp_path: Path) -> None:
    shipped = (Path(moderate.__file__).parents[1] / "policies/lite-demo.yaml").read_text()
    milder = tmp_path / "milder.yaml"
    milder.write_text(shipped.replace("text:  {review: 0.5, block: 0.8}", "text:  {review: 0.5, block: 0.99}"))
    assert run(app, ["moderate", "--policy", str(milder), "we will stab him"]).exit_code == 10


def test_a_wrong_policy_is_a_wrong_call(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("id: x\n")
    result = run(app, ["moderate", "--policy", str(tmp_path / "p.yaml"), "hello"])
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_all_parts_are_judged_together() -> None:
    parts = parts_of(["good morning", "we will stab him"], inline=False)
    judged = asyncio.run(moderate.judge(parts, policy="lite-demo", triton="127.0.0.1:1", seconds=30))
    assert [segment.part for segment in judged.verdict.segments] == ["p1"]
    assert set(judged.verdict.coverage) == {"p0", "p1"}
