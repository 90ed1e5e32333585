"""What the calculator says of load tests that were run, against what they measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from omniguard.contracts.coefficients_file import load_coefficients
from omniguard.domain.capacity import Coefficients, Traffic, plan

MEASURED = json.loads(Path("loadtests/results/capacity.json").read_bytes())
STEADY = [run for run in MEASURED["runs"] if run["kind"] == "steady"]
(SATURATED,) = [run for run in MEASURED["runs"] if run["kind"] == "saturated"]


def guard_of(run: dict[str, Any]) -> Coefficients:
    """The run's own guard: a stand-in whose seconds a label are known."""
    found = load_coefficients()
    values = {**found.values, "label_text": run["label_s"], "critique": 0.0}
    return Coefficients("stand-in", "GPU", values, found.sources)


def traffic(run: dict[str, Any], rate: float | None = None) -> Traffic:
    return Traffic(rate or run["answered_per_s"], cached=run["cached"], flagged=0.0)


def test_the_workers_cpu_at_a_rate_that_no_coefficient_was_fitted_to() -> None:
    middle = STEADY[1]
    predicted = plan(traffic(middle), load_coefficients()).worker_cores
    assert predicted == pytest.approx(middle["worker_cores"], rel=0.25)


@pytest.mark.parametrize("run", STEADY, ids=lambda run: f"{run['rate']:g}/s")
def test_how_busy_the_guard_is(run: dict[str, Any]) -> None:
    assert plan(traffic(run), guard_of(run)).guard_units == pytest.approx(run["guard_busy"], rel=0.15)


def test_how_much_a_guard_gives_that_cannot_keep_up() -> None:
    at_one = plan(traffic(SATURATED, 1.0), guard_of(SATURATED)).guard_units
    assert 1 / at_one == pytest.approx(SATURATED["answered_per_s"], rel=0.15)
    assert SATURATED["rate"] > 1.4 / at_one


def test_none_was_lost_in_what_the_coefficients_rest_on() -> None:
    assert [run["lost"] for run in MEASURED["runs"]] == [0] * 4
