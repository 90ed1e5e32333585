"""docs/capacity.html in a real Chromium (`make test-page`): its arithmetic is the calculator's, and what is typed is shown."""

from __future__ import annotations

import html
import json
import os
import random
import re
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from omniguard.contracts.coefficients_file import load_coefficients
from omniguard.domain.capacity import Prices, Sizing, Traffic, plan
from omniguard.entrypoints.capacity_page import capacity_page

CASES = 300


def opened(page: str, script: str, folder: Path) -> Any:
    """What a script that runs behind the page's own returns."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, (
        "found no chromium, expected one: install your distribution's package, or name it: CHROMIUM=/path make test-page"
    )
    shown = "Object.assign(document.createElement('pre'), {id: 'told', textContent: JSON.stringify(told)})"
    ending = f"<script>const told = (() => {{ {script} }})(); document.body.append({shown});</script>"
    file = folder / "page.html"
    file.write_text(page.replace("</html>", f"{ending}</html>"))
    words = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile", "--dump-dom", file.as_uri())
    done = subprocess.run([chromium, *words], capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))


def drawn(chance: random.Random) -> tuple[Traffic, Sizing, Prices]:
    traffic = Traffic(
        chance.uniform(0.1, 1000),
        chance.uniform(0.1, 1),
        chance.uniform(0, 3),
        chance.uniform(0, 9000),
        *(chance.choice((0, chance.uniform(0, 60))) for _ in range(3)),
        chance.uniform(0, 0.95),
        chance.uniform(0, 0.5),
        chance.random(),
    )
    sizing = Sizing(
        chance.uniform(0.05, 0.95), chance.randrange(4), chance.uniform(0.5, 8), chance.randrange(1, 8), chance.uniform(0, 30)
    )
    return traffic, sizing, Prices(*(chance.uniform(0.01, 20) for _ in range(4)))


def test_its_arithmetic_is_the_calculators(tmp_path: Path) -> None:
    chance = random.Random(22)
    cases = [drawn(chance) for _ in range(CASES)]
    told = json.dumps([[asdict(part) for part in case] for case in cases])
    found = opened(capacity_page(), f"return {told}.map(([t, s, p]) => plan(t, coefficients, s, p));", tmp_path)
    for (traffic, sizing, prices), shown in zip(cases, found, strict=True):
        expected = asdict(plan(traffic, load_coefficients(), sizing, prices))
        del expected["cost_by_part"]
        assert shown == pytest.approx(expected, rel=1e-9)


def test_what_is_typed_or_dragged_is_shown_and_what_is_wrong_is_not_taken(tmp_path: Path) -> None:
    script = """
      const needs = () => [...document.querySelectorAll('.need')].map((box) => box.textContent);
      const type = (input, text) => { input.value = text; input.dispatchEvent(new Event('input')); return needs(); };
      const uploads = document.querySelector('input[name=uploads_per_s]');
      const coefficient = document.querySelector('#coefficients input[aria-label*="a label of one window of text"]');
      return {
        start: needs(),
        typed: type(uploads, '5000'),
        wrong: type(uploads, '-3'),
        dragged: type(document.querySelector('input[aria-label="uploads a second, busiest time"]'), '1'),
        mine: type(coefficient, '0.5'),
        sources: [...document.querySelectorAll('#coefficients tr')].map((row) => row.cells[2].textContent),
        asked: performance.getEntriesByType('resource').length,
      };"""
    found = opened(capacity_page(), script, tmp_path)

    def shown(name: str) -> str:
        (first,) = re.findall(r"^Triton replicas(\d+)of", "\n".join(found[name]), re.MULTILINE)
        return str(first)

    def replicas(rate: float, **values: float) -> str:
        shipped = load_coefficients()
        changed = type(shipped)(shipped.name, shipped.guard_unit, {**shipped.values, **values}, shipped.sources)
        return str(plan(Traffic(rate), changed).replicas)

    assert [shown(name) for name in ("start", "typed", "wrong", "dragged", "mine")] == [
        replicas(50),
        replicas(5000),
        replicas(5000),
        replicas(1),
        replicas(1, label_text=0.5),
    ]
    assert found["sources"].count("yours") == 1
    assert found["asked"] == 0
