"""`omniguard capacity`: what an installation needs for a traffic, by measured coefficients."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from omniguard.contracts.coefficients_file import load_coefficients
from omniguard.domain import capacity as domain
from omniguard.domain.capacity import Coefficients, Plan, Prices, Sizing, Traffic
from omniguard.entrypoints.console import Json, errors_as_exit_codes, print_json, table

capacity_app = typer.Typer()


def _share(text: str) -> Any:
    return typer.Option(min=0, max=1, help=text)


def _count(text: str) -> Any:
    return typer.Option(min=0, help=text)


@capacity_app.command()
def capacity(
    uploads: Annotated[float, typer.Option(min=1e-6, help="Uploads a second at the busiest time.")],
    average: Annotated[float, typer.Option(min=1e-6, max=1, help="The mean rate as a share of that.")] = 1.0,
    texts: Annotated[float, _count("Texts an upload.")] = 1.0,
    text_chars: Annotated[float, _count("Characters of a text.")] = 200.0,
    images: Annotated[float, _count("Pictures an upload.")] = 0.0,
    audio_seconds: Annotated[float, _count("Seconds of sound an upload.")] = 0.0,
    video_seconds: Annotated[float, _count("Seconds of film an upload.")] = 0.0,
    cached: Annotated[float, _share("Share of uploads that were judged before.")] = 0.0,
    flagged: Annotated[float, _share("Share of segments over the review threshold.")] = 0.02,
    critiques: Annotated[float, _share("Share of uploads that are explained.")] = 0.03,
    coefficients: Annotated[Path | None, typer.Option(help="File of your own, such as a GPU's. [default: lite on a CPU]")] = None,
    units: Annotated[float, typer.Option(min=0.1, help="Cores or GPUs of one replica of Triton.")] = 1.0,
    utilisation: Annotated[float, typer.Option(min=0.05, max=0.95, help="What may be busy at the busiest time.")] = 0.6,
    spare: Annotated[int, _count("Replicas of Triton beyond need: for a loss, or an upgrade.")] = 1,
    decoders: Annotated[int, typer.Option(min=1, help="OMNIGUARD_WORKER__DECODE_PROCESSES.")] = 2,
    redis_days: Annotated[float, _count("Days that an assessment is kept.")] = 7.0,
    worker_hour: Annotated[float | None, _count("Price of a worker pod for an hour.")] = None,
    replica_hour: Annotated[float | None, _count("Price of a replica of Triton for an hour.")] = None,
    redis_gib_month: Annotated[float | None, _count("Price of a GiB of Redis for a month.")] = None,
    fixed_month: Annotated[float, _count("What else a month costs, such as Kafka.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Say how many workers, replicas of Triton and partitions a traffic needs, how much Redis, and what it costs.

    Nothing is asked or measured here: every coefficient is printed with its source. Those of the guard are of the engine lite
    on a CPU; measure your own by `python -m loadtests.coefficients --triton HOST:PORT`, and name the file. Costs are told where
    the prices of workers and replicas are. What is left out is in docs/capacity.md.

    Exit status: 0 told, 2 the call or the file is wrong.
    """
    traffic = Traffic(uploads, average, texts, text_chars, images, audio_seconds, video_seconds, cached, flagged, critiques)
    sizing = Sizing(utilisation, spare, units, decoders, redis_days)
    with errors_as_exit_codes():
        found = load_coefficients(coefficients)
    plan = domain.plan(traffic, found, sizing, Prices(worker_hour, replica_hour, redis_gib_month, fixed_month))
    if as_json:
        print_json({"plan": asdict(plan), "traffic": asdict(traffic), "sizing": asdict(sizing), "coefficients": asdict(found)})
    else:
        Console().print(Group(_needs(plan, found, sizing), Text(), _coefficients(found)))


def _needs(plan: Plan, found: Coefficients, sizing: Sizing) -> Table:
    shown = table("what", "needed", "why", title=f"guard: {found.name}")
    unit = f"{sizing.units:g} {found.guard_unit}{'' if sizing.units == 1 else 's'}"
    shown.add_row("labels", f"{plan.labels_per_s:.1f}/s", f"{plan.guard_units:.2f} {found.guard_unit}s busy")
    busy = f"{plan.replica_utilisation:.0%} busy without the {sizing.spare} spare"
    shown.add_row("Triton replicas", f"{plan.replicas}", f"of {unit} each, {busy}")
    shown.add_row(
        "workers, live lane", f"{plan.workers}", f"{plan.worker_cores:.2f} cores in all, {plan.worker_utilisation:.0%} busy"
    )
    shown.add_row("partitions of a lane", f"{plan.partitions}", "at least twice the workers, in multiples of 12")
    shown.add_row("Redis memory", f"{plan.redis_gib:.2f} GiB", f"assessments of {sizing.redis_days:g} days")
    if plan.cost_month is None:
        shown.add_row("cost", "not told", "name --worker-hour and --replica-hour")
    else:
        parts = ", ".join(f"{name} {cost:,.0f}" for name, cost in plan.cost_by_part.items() if cost)
        shown.add_row("cost a month", f"{plan.cost_month:,.0f}", parts)
        shown.add_row("cost of 1,000 uploads", f"{plan.cost_per_1000:.4f}", "at the mean rate")
    return shown


def _coefficients(found: Coefficients) -> Table:
    shown = table("coefficient", "value", "source", title="multiplied with")
    for name, value in found.values.items():
        shown.add_row(domain.UNITS[name], f"{value:.4g}", found.sources[name])
    return shown
