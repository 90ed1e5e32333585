"""A run as a person reads it in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

from loadtests.reporter import Report
from loadtests.running import Run


def tables(run: Run) -> list[Table]:
    """Latencies by group and phase, and what became of everything."""
    return [_latencies(run), _outcome(run.report)]


def markdown(reports: Iterable[Mapping[str, Any]]) -> str:
    """The written reports as the table of docs/benchmarks.md: a row for the tenants that did nothing special in each phase."""
    lines = [
        "| scenario | phase | uploads | p50 ms | p95 ms | p99 ms | loaded to quiet | lost | duplicates | CPU ms | guard ms |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for told in reports:
        made = told["report"]
        for row in made["latencies"]:
            if row["group"] == "others":
                ratio = f"{made['ratio']:.2f}" if row["phase"] == "loaded" and made["ratio"] is not None else ""
                times = " | ".join(f"{row[name]:.0f}" for name in ("p50_ms", "p95_ms", "p99_ms"))
                costs = " | ".join(_cost(made[name]) for name in ("cpu_ms_per_upload", "guard_ms_per_upload"))
                ends = f"{ratio} | {made['lost']} | {made['duplicates']} | {costs}"
                lines.append(f"| {told['scenario']} | {row['phase']} | {row['sent']} | {times} | {ends} |")
    return "\n".join(lines)


def _cost(ms: float | None) -> str:
    return "unknown" if ms is None else f"{ms:.1f}"


def _latencies(run: Run) -> Table:
    table = Table(title=f"{run.scenario.name}: ms from when an upload was due to its verdict")
    for column in ("who", "phase", "sent", "answered", "p50", "p95", "p99", "max"):
        table.add_column(column, justify="left" if column in ("who", "phase") else "right")
    for row in run.report.latencies:
        times = (row.p50_ms, row.p95_ms, row.p99_ms, row.max_ms) if row.answered else ()
        cells = [f"{ms:,.0f}" for ms in times] or ["-"] * 4
        table.add_row(row.group, row.phase, f"{row.sent:,}", f"{row.answered:,}", *cells)
    return table


def _outcome(report: Report) -> Table:
    table = Table(show_header=False)
    rows: list[tuple[str, str | None]] = [
        ("uploads sent", f"{report.sent:,} in {report.seconds:.0f} s"),
        ("answered by a verdict", f"{report.answered:,}"),
        ("passed to a slower lane", f"{report.deferred:,}"),
        ("dead letters", f"{report.letters:,}"),
        ("lost", f"{report.lost:,}"),
        ("duplicates", f"{report.duplicates:,}"),
        ("found in the cache", f"{report.cached:,}"),
        ("mean coverage", f"{report.coverage:.1%}"),
        ("indeterminate", ", ".join(f"{k} {n:,}" for k, n in sorted(report.indeterminate.items())) or "none"),
        ("producer behind its schedule, p99", f"{report.producer_late_ms:.1f} ms"),
        ("p99 of others, loaded to quiet", _ratio(report)),
        ("back to quiet latencies after", _shown(report.recovery_s, "{:.0f} s")),
        ("worker CPU an upload", _shown(report.cpu_ms_per_upload, "{:.1f} ms")),
        ("guard time an upload", _shown(report.guard_ms_per_upload, "{:.1f} ms")),
        ("resident memory, most", _shown(report.rss_mib, "{:.0f} MiB")),
        ("its growth", _shown(report.rss_growth, "{:+.1%}")),
        ("descriptors, most", _shown(report.descriptors, "{}")),
    ]
    for name, value in rows:
        if value is not None:
            table.add_row(name, value)
    return table


def _ratio(report: Report) -> str | None:
    if report.ratio is None:
        return None
    return f"{report.ratio:.2f} [95 %: {report.ratio_low:.2f} to {report.ratio_high:.2f}]"


def _shown(value: float | None, form: str) -> str | None:
    return None if value is None else form.format(value)
