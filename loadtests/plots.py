"""What a run looked like: latency over time, its distribution, and what the workers held."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from loadtests.reporter import cut
from loadtests.running import Run
from loadtests.scenarios import starts

COLOURS = ("#2f6fb0", "#c8562c", "#6a8f3c", "#7d5ba6")
SHADE = "#f3d9a4"
LOADED = "loaded"


def draw(run: Run, path: Path) -> None:
    """Write a PNG."""
    mpl.use("Agg")
    figure = Figure(figsize=(11, 9), layout="constrained")
    over_time, distribution, held = figure.subplots(3, 1, height_ratios=(3, 2, 2))
    figure.suptitle(f"{run.scenario.name}: {run.scenario.about}")
    _over_time(over_time, run)
    _distribution(distribution, run)
    _held(held, run)
    figure.savefig(path, dpi=110)


def _over_time(axes: Axes, run: Run) -> None:
    _shade(axes, run)
    first = _first(run)
    for colour, group in zip(COLOURS, _groups(run), strict=False):
        points = [(s.due - run.start, (first[s.key] - s.due) * 1000) for s in run.sent if s.group == group and s.key in first]
        if not points:
            continue
        x, y = [at for at, _ in points], [ms for _, ms in points]
        axes.scatter(x, y, s=5, alpha=0.35, color=colour, linewidths=0, label=f"{group}, each upload")
        step = max(1.0, run.scenario.seconds / 60)
        seconds: dict[int, list[float]] = {}
        for at, ms in points:
            seconds.setdefault(int(at / step), []).append(ms)
        spans = range(min(seconds), max(seconds) + 1)
        p95 = [cut(seconds[k], 0.95) if k in seconds else float("nan") for k in spans]  # no line where nothing was sent
        axes.plot([(k + 0.5) * step for k in spans], p95, color=colour, label=f"{group}, p95 of {step:g} s")
    axes.set(xlabel="seconds since the start, when due", ylabel="ms from due to verdict", yscale="log")
    _plain(axes.yaxis)
    axes.grid(alpha=0.3, which="both")
    _legend(axes)


def _distribution(axes: Axes, run: Run) -> None:
    first = _first(run)
    lines = dict.fromkeys((s.group, s.phase) for s in run.sent)
    for i, (group, phase) in enumerate(lines):
        times = sorted((first[s.key] - s.due) * 1000 for s in run.sent if (s.group, s.phase) == (group, phase) and s.key in first)
        if times:
            shares = [100 * (n + 1) / len(times) for n in range(len(times))]
            axes.plot(times, shares, color=COLOURS[i % len(COLOURS)], label=f"{group}, {phase} ({len(times)})")
    axes.axhline(99, color="grey", linewidth=0.8, linestyle="--")
    axes.set(xlabel="ms from due to verdict", ylabel="% answered", xscale="log", ylim=(0, 101))
    _plain(axes.xaxis)
    axes.grid(alpha=0.3, which="both")
    _legend(axes)


def _held(axes: Axes, run: Run) -> None:
    _shade(axes, run)
    if not run.samples:
        axes.text(0.5, 0.5, "the workers are somebody else's: nothing is known of them", ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    at = [s.at - run.start for s in run.samples]
    axes.plot(at, [s.rss_bytes / 2**20 for s in run.samples], color=COLOURS[0], label="resident memory, MiB")
    axes.set(xlabel="seconds since the start", ylabel="MiB", ylim=(0, 1.15 * max(s.rss_bytes for s in run.samples) / 2**20))
    beside = axes.twinx()
    beside.plot(at, [s.descriptors for s in run.samples], color=COLOURS[1], label="open descriptors")
    pairs = list(zip(run.samples, run.samples[1:], strict=False))
    cores = [100 * (b.cpu_seconds - a.cpu_seconds) / (b.at - a.at) for a, b in pairs]
    beside.plot(at[1:], cores, color=COLOURS[2], linewidth=0.8, label="CPU, % of a core")
    beside.set(ylim=(0, None), ylabel="descriptors, % of a core")
    lines = [*axes.get_lines(), *beside.get_lines()]
    labels = [str(line.get_label()) for line in lines]
    axes.legend(lines, labels, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=8, frameon=False)
    axes.grid(alpha=0.3)


def _plain(axis: Axis) -> None:
    """Numbers as people write them, at 1, 2, 3 and 5 of each power of ten."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axis.set_major_formatter(FuncFormatter(lambda ms, _: f"{ms:,g}"))
    axis.set_minor_formatter(NullFormatter())


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, fontsize=8, frameon=False)


def _shade(axes: Axes, run: Run) -> None:
    for at, phase in starts(run.scenario):
        if phase.name == LOADED:
            axes.axvspan(at, at + phase.share * run.scenario.seconds, color=SHADE, alpha=0.5, linewidth=0)


def _groups(run: Run) -> list[str]:
    return list(dict.fromkeys(s.group for s in run.sent))


def _first(run: Run) -> dict[str, float]:
    """When each upload had its first verdict that is not provisional."""
    first: dict[str, float] = {}
    for answer in run.seen.answers:
        if answer.status != "provisional":
            first.setdefault(answer.key, answer.at)
    return first
