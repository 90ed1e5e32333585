"""`omniguard probe`: does the installation judge? What `helm test` runs."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from rich.console import Console

from omniguard.domain.lane import Lane
from omniguard.entrypoints.addresses import Bootstrap, Prefix, kafka_settings
from omniguard.entrypoints.console import FAILED, Json, errors_as_exit_codes, print_json, table, untrusted
from omniguard.entrypoints.probing import Expect, Outcome, Step
from omniguard.entrypoints.probing import probe as run_probe
from omniguard.observability import configure_logging

probe_app = typer.Typer()


@probe_app.command()
def probe(
    lane: Annotated[Lane, typer.Option(help="The lane to prove.")] = Lane.LIVE,
    deadline: Annotated[float, typer.Option(min=0.1, help="Seconds until both verdicts must be there.")] = 60.0,
    expect: Annotated[
        Expect, typer.Option(help="right: allow for the harmless one, and for the harmful one not; final: any final verdict.")
    ] = Expect.RIGHT,
    kafka: Bootstrap = None,
    prefix: Prefix = None,
    as_json: Json = False,
) -> None:
    """Publish a harmless and a harmful text of the tenant `_omniguard`, and wait for their verdicts.

    Every worker has that tenant; nobody enforces its verdicts. The harmful text is the test phrase, which every engine reports. A
    verdict that is indeterminate for a passing reason is waited on, since the late lane may mend it.

    Exit status: 0 both verdicts are right; 1 one is wrong or late, or no broker answers, and the message says at which step it
    stands: not taken by the broker, not passed by the consumer group, passed without a verdict, or indeterminate with its reason;
    2 the call or a setting is wrong, or a topic or right is missing.
    """
    configure_logging(level="ERROR", json=False)
    with errors_as_exit_codes():
        outcomes = asyncio.run(run_probe(kafka_settings(kafka, prefix), lane, expect, deadline))
    right = all(each.step is Step.RIGHT for each in outcomes)
    if as_json:
        print_json({"right": right, "lane": lane, "expect": expect, "uploads": [_row(each) for each in outcomes]})
    else:
        _show(outcomes)
    if not right:
        raise typer.Exit(FAILED)


def _row(each: Outcome) -> dict[str, Any]:
    said = each.verdict
    return {
        "name": each.name,
        "content_id": each.content_id,
        "step": each.step,
        "message": each.message,
        "partition": each.partition,
        "offset": each.offset,
        "committed": each.committed,
        "seconds": each.seconds,
        "verdict": said and said.model_dump(mode="json"),
    }


def _show(outcomes: list[Outcome]) -> None:
    shown = table("upload", "found", "seconds", "guard", "what it says")
    for each in outcomes:
        style = "green" if each.step is Step.RIGHT else "red"
        model = each.verdict.model if each.verdict is not None else None
        guard = f"{model.name} ({model.engine})" if model is not None else "-"
        seconds, says = "-" if each.seconds is None else f"{each.seconds:.2f}", untrusted(each.message, lines=False)
        shown.add_row(each.name, untrusted(each.step.replace("_", " "), style), seconds, untrusted(guard), says)
    Console().print(shown)
