from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from omniguard.domain.taxonomy import CATEGORIES
from omniguard.errors import Misconfigured
from omniguard.guard.lite import table
from omniguard.guard.lite.text import HEADS


def test_every_assessed_category_has_a_head_and_a_row_over_the_bar() -> None:
    with np.load(HEADS, allow_pickle=False) as stored:
        heads = {str(name) for name in stored["names"]}
    rows = {(r.category, r.modality): r for r in table.read()}
    for modality in table.ASSESSABLE:
        for name in table.assessed(modality):
            row = rows[name, modality]
            assert name in heads & set(CATEGORIES)
            assert row.n_pos >= 30
            assert row.auc_low >= 0.85
            assert row.auc_low <= row.auc <= row.auc_high


def test_text_is_assessed_and_pictures_never_are() -> None:
    assert "violent_crimes" in table.assessed("text")
    assert table.assessed("image") == frozenset()
    assert table.assessed("image_text") == frozenset()


def test_what_no_table_can_vouch_for() -> None:
    never = {"child_sexual_exploitation", "defamation", "privacy", "intellectual_property", "specialized_advice"}
    assert never == table.NEVER
    assert not never & {r.category for r in table.read()}
    perfect = replace(table.read()[0], category="privacy", modality="text", n_pos=900, auc_low=0.99)
    assert not perfect.passes


@pytest.mark.parametrize(("change"), [{"n_pos": 29}, {"auc_low": 0.849}, {"modality": "image_text"}])
def test_a_row_under_the_bar_does_not_pass(change: dict[str, object]) -> None:
    good = replace(table.read()[0], category="hate", modality="text", n_pos=30, auc_low=0.85)
    assert good.passes
    assert not replace(good, **change).passes


def test_a_damaged_table_says_what_is_wrong(tmp_path: Path) -> None:
    lines = table.TABLE.read_text(encoding="utf-8").splitlines()
    broken = tmp_path / "assessed.csv"
    broken.write_text("\n".join([lines[0], lines[1].replace(",", ",x", 2)]), encoding="utf-8")
    with pytest.raises(Misconfigured, match="line 2"):
        table.read(broken)
    broken.write_text("category,modality\n", encoding="utf-8")
    with pytest.raises(Misconfigured, match="found columns"):
        table.read(broken)
