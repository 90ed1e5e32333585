"""`make load`: a load test, on a small stack of its own or against a running installation.

    python -m loadtests run SCENARIO                      starts Kafka, Valkey and a worker, with a stand-in for the guard
    python -m loadtests run SCENARIO --triton             the same with Triton and its engine `lite`
    python -m loadtests run SCENARIO --bootstrap HOST:PORT --tenants acme
                                                          against what runs there, as `make demo KEEP=1` leaves it
    python -m loadtests table out/load/*.json             the table of docs/benchmarks.md

Exit status: 0 all thresholds kept, 1 one was missed, 2 the harness itself failed (no broker, no topics, no worker).
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path

import orjson
import uvloop
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import Progress

from loadtests.plots import draw
from loadtests.reporter import Limits
from loadtests.running import Run, measure
from loadtests.scenarios import SCENARIOS, Scenario
from loadtests.show import markdown, tables
from loadtests.system import HarnessError, Under, own_system, running_system
from omniguard.devstack import DevStackError

KEPT, MISSED, FAILED = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, print; see the exit status above."""
    args = _parser().parse_args(argv)
    if args.command == "table":
        print(markdown(orjson.loads(path.read_bytes()) for path in args.reports))
        return KEPT
    console = Console()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it reports every retry on topics made a moment ago
    scenario = SCENARIOS[args.scenario].with_(args.rate, args.seconds, tuple(args.tenants or ()))
    limits = _limits(scenario.limits, args)
    try:
        if args.bootstrap and scenario.own:
            raise HarnessError(f"{scenario.name} {scenario.own}: run it without --bootstrap")
        with console.status("starting"), _under(args, scenario) as under:
            run = _measure(under, scenario, args, console)
    except (KafkaError, HarnessError, DevStackError, OSError) as error:
        console.print(f"no load test: {type(error).__name__}: {error}", markup=False)
        return FAILED
    for table in tables(run):
        console.print(table)
    misses = run.report.misses(limits)
    _write(run, limits, misses, args.out, console)
    for miss in misses:
        console.print(f"missed: {miss}", markup=False)
    return MISSED if misses else KEPT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")
    table = commands.add_parser("table", help="print written reports as one table in Markdown")
    table.add_argument("reports", type=Path, nargs="+", metavar="JSON", help="what runs have written")
    run = commands.add_parser("run", help="run a scenario")
    run.add_argument(
        "scenario",
        choices=sorted(SCENARIOS),
        metavar="SCENARIO",
        help="; ".join(f"{s.name}: {s.about}" for s in SCENARIOS.values()).replace("%", "%%"),
    )
    run.add_argument("--rate", type=float, help="uploads a second of the steady stream")
    run.add_argument("--seconds", type=float, help="how long to send")
    run.add_argument("--patience", type=float, default=45.0, help="seconds without any answer until the rest count as lost")
    run.add_argument("--out", type=Path, default=Path("out/load"), help="folder of the JSON report and the plot")
    where = run.add_argument_group("what is under test")
    where.add_argument("--bootstrap", help="broker of an installation that runs already; nothing is started")
    where.add_argument("--topic-prefix", default="", help="prefix of its topics")
    where.add_argument("--tenants", nargs="+", metavar="TENANT", help="tenants that it knows, whose uploads are the measure")
    where.add_argument("--triton", action="store_true", help="Triton with the engine lite in the place of the stand-in")
    where.add_argument("--workers", type=int, default=1, help="worker processes to start")
    where.add_argument("--kafka", help="broker to start workers on, in the place of one of our own")
    where.add_argument("--redis", help="URL of its Redis")
    where.add_argument("--model-repository", type=Path, default=Path("model_repository"), help="Triton's, with --triton")
    limits = run.add_argument_group("thresholds, in the place of the scenario's")
    limits.add_argument("--p99-ms", type=float, help="greatest p99 of the steady stream, in any phase")
    limits.add_argument("--indeterminate", type=float, help="greatest share of indeterminate verdicts, 0 to 1")
    limits.add_argument("--ratio", type=float, help="greatest p99 of others, loaded to quiet")
    limits.add_argument("--recovery-s", type=float, help="longest way back to quiet latencies")
    return parser


def _limits(limits: Limits, args: argparse.Namespace) -> Limits:
    given = {name: getattr(args, name) for name in ("p99_ms", "indeterminate", "ratio", "recovery_s")}
    return replace(limits, **{name: value for name, value in given.items() if value is not None})


def _under(args: argparse.Namespace, scenario: Scenario) -> AbstractContextManager[Under]:
    if args.bootstrap:
        return running_system(args.bootstrap, args.topic_prefix)
    external = {name: address for name in ("kafka", "redis") if (address := getattr(args, name))}
    return own_system(
        scenario, triton=args.triton, workers=args.workers, external=external, model_repository=args.model_repository
    )


def _measure(under: Under, scenario: Scenario, args: argparse.Namespace, console: Console) -> Run:
    with Progress(console=console, transient=True) as progress, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measure(under, scenario, uuid.uuid4().hex[:8], patience=args.patience, progress=progress))


def _write(run: Run, limits: Limits, misses: Sequence[str], folder: Path, console: Console) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "scenario": run.scenario.name,
        "rate": run.scenario.rate,
        "report": asdict(run.report),
        "limits": asdict(limits),
        "missed": misses,
        "samples": [{**asdict(sample), "at": sample.at - run.start} for sample in run.samples],
    }
    (folder / f"{run.scenario.name}.json").write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    draw(run, folder / f"{run.scenario.name}.png")
    console.print(f"written: {folder}/{run.scenario.name}.json and .png", markup=False)


if __name__ == "__main__":
    sys.exit(main())
