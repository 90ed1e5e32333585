"""`omniguard capacity`, its files of coefficients, and its page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from omniguard.contracts.coefficients_file import SHIPPED, load_coefficients
from omniguard.domain.capacity import GUARD, UNITS
from omniguard.entrypoints.capacity_page import capacity_page
from omniguard.entrypoints.cli import app
from omniguard.errors import Misconfigured

run = CliRunner().invoke


def written(path: Path, unit: str = "GPU", **values: object) -> Path:
    entries = {name: {"value": value, "unit": "s", "source": "measured at home"} for name, value in values.items()}
    path.write_text(json.dumps({"name": "mine", "guard_unit": unit, "coefficients": entries}))
    return path


def test_every_shipped_coefficient_is_measured_and_says_how() -> None:
    found = load_coefficients()
    assert set(found.values) == set(UNITS)
    assert all(source.startswith("measured by `python -m loadtests.coefficients") for source in found.sources.values())
    assert {entry["unit"] for entry in json.loads(SHIPPED.read_bytes())["coefficients"].values()} == set(UNITS.values())


def test_a_guard_of_ones_own_takes_the_place_of_the_shipped_and_keeps_the_rest(tmp_path: Path) -> None:
    path = written(tmp_path / "gpu.json", **dict.fromkeys(GUARD, 0.01))
    result = run(app, ["capacity", "--uploads", "90", "--coefficients", str(path), "--critiques", "0", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["plan"]["guard_units"], told["plan"]["replicas"]) == (pytest.approx(0.9), 3)
    assert told["coefficients"]["sources"]["label_text"] == "measured at home"
    assert told["coefficients"]["values"]["worker_upload"] == load_coefficients().values["worker_upload"]


def test_the_table_shows_each_coefficient_with_its_source_and_no_cost_without_prices() -> None:
    result = run(app, ["capacity", "--uploads", "20"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert result.stdout.count("loadtests.coefficients") == len(UNITS)
    assert "name --worker-hour and --replica-hour" in result.stdout
    priced = run(app, ["capacity", "--uploads", "20", "--worker-hour", "1", "--replica-hour", "2"], env={"COLUMNS": "200"})
    assert "cost of 1,000 uploads" in priced.stdout


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"label_text": 0.01}, "found no label_image, label_audio, label_video, critique, expected all of one guard"),
        ({"label_txt": 0.01}, "found label_txt, expected names of"),
        ({"worker_upload": -1.0}, "greater than or equal to 0"),
        ({"worker_upload": "fast"}, "valid number"),
        ({"worker_upload": 0.1}, "a guard of unit GPU without its coefficients"),
    ],
)
def test_a_file_that_is_wrong(values: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=said):
        load_coefficients(written(tmp_path / "gpu.json", **values))


def test_a_file_that_is_not_there_or_no_json(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("{")
    for path in (tmp_path / "none", tmp_path / "x"):
        assert run(app, ["capacity", "--uploads", "1", "--coefficients", str(path)]).exit_code == 2


def test_the_page_loads_nothing() -> None:
    page = capacity_page()
    assert "/*DATA*/" not in page
    assert not [word for word in ("http://", "https://", "src=", "@import", "url(", "fetch(") if word in page]


def test_no_source_ends_the_pages_script(tmp_path: Path) -> None:
    path = written(tmp_path / "c.json", unit="</script><b>", **dict.fromkeys(GUARD, 1.0))
    assert capacity_page(path).count("</script>") == 1
