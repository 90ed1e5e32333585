"""`omniguard calibrate`: from labelled uploads to a file that turns a model's scores into probabilities."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from omniguard.contracts.calibration_file import CalibrationFile, Method, identified, write_calibration
from omniguard.domain.calibration import Isotonic
from omniguard.entrypoints.console import Json, errors_as_exit_codes, print_json, table
from omniguard.entrypoints.judged_rows import judged_rows
from omniguard.entrypoints.scoring import How, examples_of, score, writable
from omniguard.errors import Misconfigured
from omniguard.evaluation import fitting, pages
from omniguard.evaluation.fitting import Outcome, Row
from omniguard.evaluation.reliability import Reliability
from omniguard.evaluation.results import Results
from omniguard.guard.wire import Capabilities

calibrate_app = typer.Typer()


@calibrate_app.command()
def calibrate(
    rows: Annotated[list[str], typer.Argument(help="Labelled uploads, as for omniguard eval; they stand for those to come.")],
    triton: Annotated[str, typer.Option(help="HOST:PORT of the guard to calibrate.")],
    model: Annotated[str, typer.Option(help="Name of the guard's model in Triton.")] = "omniguard",
    policy: Annotated[str, typer.Option(help="A policy file, or a shipped policy's name: what the guard is told.")] = "default",
    method: Annotated[Method, typer.Option(help="Isotonic needs more rows and bends as they do.")] = "temperature",
    prevalence: Annotated[
        float | None,
        typer.Option(help="Share of uploads that are harmful, where the rows have another share.", min=1e-6, max=0.999999),
    ] = None,
    out: Annotated[Path, typer.Option(help="The file to write; OMNIGUARD_POLICY__CALIBRATION names it.")] = Path(
        "calibration.json"
    ),
    plot: Annotated[Path | None, typer.Option(help="Write reliability diagrams as PNG (needs matplotlib).")] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            help="Keep scores in this JSONL file and go on with it after a kill; those of a plain omniguard eval may be named."
        ),
    ] = None,
    concurrency: Annotated[int, typer.Option(help="Uploads under way at once.", min=1, max=256)] = 4,
    as_json: Json = False,
) -> None:
    """Judge labelled uploads through the worker's own pipeline and fit curves from score to probability.

    One curve for each set of modalities and each stratum of segment counts (1, 2-5, 6-20, 21+) with enough rows of both classes
    (20, isotonic 100); a stratum without takes its neighbour's, else such uploads stay uncalibrated and block becomes review.
    Figures after calibration are of rows held out of five folds. Exit status: 0 written, 1 the guard is away, 2 a file is wrong,
    or no stratum has enough rows.
    """
    with errors_as_exit_codes():
        writable(out, plot, results)
        how = How(triton, model, policy, concurrency=concurrency)
        judged, prompt, found = asyncio.run(_judge(how, rows, results))
        outcomes = fitting.fit(judged, method, prevalence)
        console = Console(stderr=as_json)
        console.print(_table(outcomes))
        for line in _notes(outcomes):
            console.print(line, markup=False, highlight=False)
        file = _file(outcomes, found, prompt, method, prevalence)
        write_calibration(file, out)
        if plot:
            pages.plot_reliability(_curves(outcomes), plot)
        console.print(f"Wrote {file.id} for model {found.digest[:12]} to {out}", markup=False, highlight=False)
    if as_json:
        print_json(file.model_dump(mode="json"))


async def _judge(how: How, names: Sequence[str], kept: Path | None) -> tuple[list[Row], str, Capabilities]:
    examples = examples_of(names)
    async with judged_rows(how, examples) as scorer:
        scores = await score(scorer, examples, Results(kept, scorer.digest))
        return fitting.rows_of(examples, scores), scorer.policy.prompt_digest, scorer.capabilities


def _file(
    outcomes: Sequence[Outcome], model: Capabilities, prompt: str, method: Method, prevalence: float | None
) -> CalibrationFile:
    fits = [
        {
            "modalities": o.modalities,
            "segments": o.segments,
            "n": o.fit.n,
            "harmful": o.fit.harmful,
            "borrowed": o.fit.borrowed,
            "curve": {"knots": o.fit.curve.knots}
            if isinstance(o.fit.curve, Isotonic)
            else {"temperature": o.fit.curve.temperature, "bias": o.fit.curve.bias},
        }
        for o in outcomes
        if o.fit is not None
    ]
    if not fits:
        raise Misconfigured(
            "found no stratum with enough rows of both classes whose scores grow with harm; what each lacks is said above"
        )
    made = datetime.now(UTC).date()
    about = {"made": made, "model_digest": model.digest, "engine": model.engine, "policy_prompt": prompt, "method": method}
    return identified({**about, "prevalence": prevalence, "fits": fits})


def _table(outcomes: Sequence[Outcome]) -> Table:
    names = ("modalities", "segments", "rows", "harmful", "ECE", "after", "Brier", "after", "AUC", "after")
    columns = (Column(name, justify="right" if name in ("rows", "harmful") else "left") for name in names)
    made = table(*columns, title="calibration by modalities and number of segments", caption="after: on held-out folds")
    for o in outcomes:
        figures = (
            o.before and o.before.ece,
            o.after and o.after.ece,
            o.before and o.before.brier,
            o.after and o.after.brier,
            o.auc,
            o.auc_after,
        )
        shown = ["-" if f is None else f"{f:.3f}" for f in figures]
        made.add_row(o.modalities.replace("+", " + "), o.segments, str(o.n), str(o.harmful), *shown)
    return made


def _notes(outcomes: Sequence[Outcome]) -> list[str]:
    """What was borrowed and what was refused."""
    return [f"{o.modalities}, {o.segments} segments: {o.note}." for o in outcomes if o.note]


def _curves(outcomes: Sequence[Outcome]) -> list[tuple[str, list[tuple[str, Reliability]]]]:
    return [
        (f"{o.modalities}, {o.segments} segments: {o.n} rows", [("before", o.before), ("after, held out", o.after)])
        for o in outcomes
        if o.before and o.after
    ]
