"""`omniguard eval`: how well a guard tells harmful uploads from harmless ones, on labelled rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import Progress

from omniguard.entrypoints.console import Json, errors_as_exit_codes, print_json
from omniguard.evaluation import dataset, metrics, pages
from omniguard.evaluation.scorer import ExampleScore, LiteText, Scorer

BATCH = 16
QUALITY = Path("docs/quality.md")

evaluate_app = typer.Typer()


@evaluate_app.command("eval")
def evaluate(
    data: Annotated[
        list[str] | None, typer.Argument(help=f"JSONL files, or sets by name: {', '.join(dataset.BUILT_IN)}. Default: all sets.")
    ] = None,
    threshold: Annotated[float, typer.Option(help="Decision score from which a row counts as flagged.", min=0.0, max=1.0)] = 0.5,
    as_json: Json = False,
    out: Annotated[
        Path | None, typer.Option(help="Write report.json and recall.png into this folder (the plot needs matplotlib).")
    ] = None,
    write_docs: Annotated[bool, typer.Option("--write-docs", help=f"Write {QUALITY} anew (from the repository root).")] = False,
) -> None:
    """Measure the lite engine's text heads on labelled rows. Exit status: 0 measured, 2 a file or a model is not there."""
    with errors_as_exit_codes():
        examples = [e for name in data or dataset.BUILT_IN for e in _examples(name)]
        scorer = LiteText()
        found = metrics.report(scorer.name, examples, run(scorer, examples), threshold)
        if out:
            out.mkdir(parents=True, exist_ok=True)
            (out / "report.json").write_bytes(orjson.dumps(pages.as_json(found), option=orjson.OPT_INDENT_2))
            pages.plot(found, out / "recall.png")
    if write_docs:
        QUALITY.write_text(pages.quality_page(found, "omniguard eval --write-docs"), encoding="utf-8")
    if as_json:
        print_json(pages.as_json(found))
        return
    for shown in pages.rich_tables(found):
        Console().print(shown)


def run(scorer: Scorer, examples: Sequence[dataset.Example]) -> list[ExampleScore]:
    """Score all rows in order, in batches, with a progress bar on standard error."""
    scores: list[ExampleScore] = []
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(f"score with {scorer.name}", total=len(examples))
        for start in range(0, len(examples), BATCH):
            batch = examples[start : start + BATCH]
            scores += scorer.score(batch)
            bar.advance(task, len(batch))
    return scores


def _examples(name: str) -> list[dataset.Example]:
    return dataset.read(Path(name)) if name.endswith(".jsonl") else dataset.built_in(name)
