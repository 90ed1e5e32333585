"""Rows of the committed table, from held-back scores."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omniguard.guard.lite import measure, table
from omniguard.guard.lite.training.fit import Floats, Head
from omniguard.guard.lite.training.rows import Row

HARMLESS_TESTS = ("everyday_test", "lookalike_test")


@dataclass(frozen=True, slots=True)
class Corpus:
    """Rows to train on and rows never trained on, with unit-length float32 embeddings [n, 384].

    `removed` counts training rows, by source, that were near a test row. `groups` keeps near duplicates in one fold.
    """

    train: Sequence[Row]
    embeddings: Floats
    test: Sequence[Row]
    test_embeddings: Floats
    removed: Mapping[str, int]
    groups: NDArray[np.int64]


def text_row(head: Head, corpus: Corpus) -> table.Row:
    """Positives: rows of the category, by a fold's model that did not see them, and test rows. Negatives: our everyday posts and
    look-alikes, never trained on, and answers people rated harmless.
    """
    tests = corpus.test_embeddings @ head.coef + head.intercept
    names = {r.source for r in [*corpus.train, *corpus.test] if head.name in r.labels}
    positive = [m for m, r in zip(head.held_back, corpus.train, strict=True) if head.name in r.labels]
    positive += [m for m, r in zip(tests, corpus.test, strict=True) if head.name in r.labels]
    negative = [m for m, r in zip(head.held_back, corpus.train, strict=True) if r.source == "pyrit-rated" and not r.harmful]
    negative += [m for m, r in zip(tests, corpus.test, strict=True) if r.source in HARMLESS_TESTS]
    return row(head.name, "text", np.asarray(positive), np.asarray(negative), [*names, *HARMLESS_TESTS])


def row(category: str, modality: str, positive: measure.Scores, negative: measure.Scores, sources: Sequence[str]) -> table.Row:
    """One line of the table."""
    area = measure.bootstrap(measure.auc, positive, negative)
    recall = measure.bootstrap(measure.recall_at, positive, negative)
    return table.Row(
        category=category,
        modality=modality,
        n_pos=len(positive),
        n_neg=len(negative),
        auc=area.value,
        auc_low=area.low,
        auc_high=area.high,
        recall=recall.value,
        recall_low=recall.low,
        recall_high=recall.high,
        sources=" ".join(sorted(set(sources))),
    )


def write(rows: Sequence[table.Row]) -> None:
    """Replace the committed table."""
    with table.TABLE.open("w", encoding="utf-8", newline="") as handle:
        lines = csv.writer(handle, lineterminator="\n")
        lines.writerow([f.name for f in dataclasses.fields(table.Row)])
        for entry in sorted(rows, key=lambda r: (r.modality, r.category)):
            lines.writerow([f"{v:.4f}" if isinstance(v, float) else v for v in dataclasses.astuple(entry)])
    table.assessed.cache_clear()
