"""The report as terminal tables, as JSON and as plots."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from omniguard.errors import Misconfigured
from omniguard.evaluation.metrics import Joint, Latency, Line, Report
from omniguard.evaluation.reliability import Reliability
from omniguard.guard.lite.measure import Estimate

WIDE = 200
"""Columns of a terminal from which the tables show intervals."""
ROOMY = 90
"""Columns from which they show F1."""
COLUMNS = ("name", "score", "harmful", "harmless", "AUC", "recall at 5 % FPR", "recall", "FPR", "F1")


def cells(line: Line) -> tuple[str, ...]:
    """A line as text, in the order of `COLUMNS`."""
    name = f"{line.name} (recall only)" if line.recall_only else line.name
    estimates = (line.auc, line.recall_at_fpr05, line.recall, line.fpr, line.f1)
    return (name, line.score, str(line.n_pos), str(line.n_neg), *(shown(e) for e in estimates))


def shown(estimate: Estimate) -> str:
    """`.95 [.93, .97]`, or a dash where there was nothing to measure."""
    if math.isnan(estimate.value):
        return "-"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def rich_tables(report: Report, width: int) -> list[Table]:
    """By source, by modality where there are several, and by category; intervals where `width` columns have room for them."""
    kinds = [("by modality", report.modalities)] if len(report.modalities) > 1 else []
    sources = (*report.sources, *([report.controls] if report.controls else []))
    every = [("by source", sources), *kinds, ("by category", report.categories)]
    return [_rich(title, lines, report, width) for title, lines in every if lines]


def _rich(title: str, lines: Sequence[Line], report: Report, width: int) -> Table:
    intervals = width >= WIDE
    calibrated = f", calibrated by {report.calibration}" if report.calibration else ""
    caption = f"threshold {report.threshold}{calibrated}; {report.not_assessed} of {report.rows} rows not assessed"
    out = Table(
        title=f"{report.scorer}, {title}",
        caption=caption if intervals else f"{caption}; intervals: --json, or {WIDE} columns",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    rows = [_row(line, intervals=intervals) for line in lines]
    left_out = set() if intervals else {"score"} if width >= ROOMY else {"score", "F1"}
    for number, name in enumerate((*COLUMNS, "accuracy")):
        if name not in left_out:
            texts = [name, *(row[number] for row in rows)] if name == "name" else [name]
            room = max(len(word) for text in texts for word in text.split())
            out.add_column(name, justify="left" if name in ("name", "score") else "right", overflow="fold", min_width=room)
    for row in rows:
        out.add_row(*(text for name, text in zip((*COLUMNS, "accuracy"), row, strict=True) if name not in left_out))
    return out


def _row(line: Line, *, intervals: bool) -> list[str]:
    name, *texts = (*cells(line), shown(line.accuracy) + (" (recall)" if line.recall_only else ""))
    return [name.replace("+", " + "), *(texts if intervals else (re.sub(r" \[.*\]", "", text) for text in texts))]


def remarks(report: Report) -> list[str]:
    """What the tables do not hold, a sentence a line."""
    lost = ", ".join(f"{n} {reason}" for reason, n in report.reasons.items())
    found = [
        joint_line(report.joint),
        f"Not assessed: {lost}." if lost else "",
        _reliability(report.reliability),
        _latency("label", report.label),
        _latency("label and critique, where one was written", report.critique),
    ]
    return [line for line in found if line]


def joint_line(found: Joint | None) -> str:
    """The joint judgement against the best single one; empty where there was none to compare."""
    if found is None:
        return ""
    rows = f"{found.n_pos} harmful, {found.n_neg} harmless rows"
    return (
        f"Joint AUC {shown(found.joint)}, best single {shown(found.best_single)} ({rows}). "
        f"Flagged jointly alone: {found.only_joint} harmful rows; by a single medium alone: {found.only_single}."
    )


def _reliability(found: Reliability | None) -> str:
    return f"Read as probabilities: ECE {found.ece:.3f}, Brier {found.brier:.3f} over {found.n} rows." if found else ""


def _latency(name: str, found: Latency | None) -> str:
    return f"Seconds to {name}: p50 {found.p50:.3f}, p99 {found.p99:.3f} over {found.n} rows." if found else ""


def as_json(report: Report) -> dict[str, Any]:
    """Plain data; what could not be measured is null."""
    plain: dict[str, Any] = _plain(dataclasses.asdict(report))
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def plot(report: Report, file: Path) -> None:
    """Recall at 5 % false positives by category and source, as a PNG.

    Raises:
        Misconfigured: matplotlib is not installed.

    """
    lines = [line for line in (*report.categories, *report.sources) if not math.isnan(line.recall_at_fpr05.value)]
    figure = _figure(8, 0.4 * len(lines) + 1.5)
    axes = figure.subplots()
    values = [line.recall_at_fpr05 for line in lines]
    spread = [[v.value - v.low for v in values], [v.high - v.value for v in values]]
    axes.barh(
        [line.name for line in lines], [v.value for v in values], xerr=[[max(0.0, s) for s in side] for side in spread], capsize=3
    )
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("recall at 5 % false positives, with 95 % interval")
    axes.set_title(f"{report.scorer}: {report.rows} rows")
    figure.savefig(file)


def plot_reliability(curves: Sequence[tuple[str, Sequence[tuple[str, Reliability]]]], file: Path) -> None:
    """Reliability diagrams side by side, as a PNG: a title, and its curves by name. Each point is a tenth of the rows by weight.

    Raises:
        Misconfigured: matplotlib is not installed.

    """
    columns = min(3, max(1, len(curves)))
    rows = math.ceil(max(1, len(curves)) / columns)
    figure = _figure(4.5 * columns, 4.4 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(curves) :]:
        axes.remove()
    for axes, (title, named) in zip(grid.flat, curves, strict=False):
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, linestyle="--")
        for name, found in named:
            points = found.bins
            scores, shares = [b.score for b in points], [b.harmful for b in points]
            axes.plot(scores, shares, marker="o", alpha=0.8, label=f"{name}, ECE {found.ece:.3f}")
        axes.set(xlim=(0, 1), ylim=(-0.03, 1.03), aspect="equal", title=title, xlabel="score", ylabel="share of rows harmful")
        axes.legend(loc="lower right", fontsize="small")
    figure.savefig(file)


def _figure(width: float, height: float) -> Any:
    try:
        from matplotlib.figure import Figure  # optional: nothing else needs it
    except ModuleNotFoundError as error:
        raise Misconfigured("found no matplotlib, expected it for the plot; pip install matplotlib") from error
    return Figure(figsize=(width, height), layout="constrained")
