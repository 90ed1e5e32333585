from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from omniguard.reference import PAGES, settings_page, write
from omniguard.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_the_page_in_docs_is_the_generated_one(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run: python -m omniguard.reference docs"


def test_every_setting_is_described() -> None:
    for group in Settings.model_fields.values():
        model = (get_args(group.annotation) or (group.annotation,))[-1]
        for name, info in model.model_fields.items():
            assert info.description, name
            assert info.description.endswith("."), name


def test_every_setting_is_on_the_page() -> None:
    page = settings_page()
    assert "| `OMNIGUARD_KAFKA__BOOTSTRAP` | text | `127.0.0.1:9092` |" in page
    assert "| `OMNIGUARD_TRITON__ADDRESSES` | list, by commas | `127.0.0.1:8001` |" in page
    assert "| `OMNIGUARD_TELEMETRY__JSON_LOGS` | `true`, `false` | `true` |" in page


def test_write_makes_every_page(tmp_path: Path) -> None:
    write(tmp_path / "docs")
    assert {page.name for page in (tmp_path / "docs").iterdir()} == set(PAGES)
