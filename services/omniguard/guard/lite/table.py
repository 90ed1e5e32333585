"""What the lite engine may vouch for: the committed table of measurements, and the bar a row must meet."""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_type_hints

from omniguard.errors import Misconfigured

__all__ = ["ASSESSABLE", "AUC_BAR", "MIN_POSITIVES", "NEVER", "TABLE", "Row", "assessed", "read"]

TABLE = Path(__file__).with_name("assessed.csv")

AUC_BAR = 0.85
"""The lower end of a row's 95 % interval of the AUC must reach this."""
MIN_POSITIVES = 30
ASSESSABLE = ("text", "audio")
"""Modalities a row can make assessed. `image_text` rows are measured too, but a picture is more than the text in it."""
NEVER = frozenset({"child_sexual_exploitation", "defamation", "privacy", "intellectual_property", "specialized_advice"})
"""Never assessed, whatever a table says: no set at hand shows them, and the last four are no property of the words alone."""


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement on held-back rows, with 95 % bootstrap intervals; `recall` is at 5 % false positives."""

    category: str
    modality: str
    n_pos: int
    n_neg: int
    auc: float
    auc_low: float
    auc_high: float
    recall: float
    recall_low: float
    recall_high: float
    sources: str

    @property
    def passes(self) -> bool:
        """True if the row meets the bar."""
        return (
            self.modality in ASSESSABLE and self.category not in NEVER and self.n_pos >= MIN_POSITIVES and self.auc_low >= AUC_BAR
        )


def read(table: Path = TABLE) -> tuple[Row, ...]:
    """Every row of the table.

    Raises:
        Misconfigured: the file lacks a column, or a value is of the wrong kind.

    """
    kinds = get_type_hints(Row)
    with table.open(encoding="utf-8", newline="") as handle:
        lines = csv.DictReader(handle)
        wanted = [f.name for f in fields(Row)]
        if lines.fieldnames != wanted:
            raise Misconfigured(
                f"{table.name}: found columns {lines.fieldnames}, expected {wanted}; "
                "write it anew with omniguard.guard.lite.training"
            )
        try:
            return tuple(Row(**{name: kinds[name](line[name]) for name in wanted}) for line in lines)
        except ValueError as error:
            raise Misconfigured(
                f"{table.name}, line {lines.line_num}: {error}; write it anew with omniguard.guard.lite.training"
            ) from error


@functools.cache
def assessed(modality: str) -> frozenset[str]:
    """The categories the engine can vouch for on `modality`: those whose row meets the bar. Empty for all but text and audio."""
    return frozenset(row.category for row in read() if row.modality == modality and row.passes)
