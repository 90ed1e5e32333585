"""`omniguard dev`: genuine Kafka, Valkey and Triton on this machine."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from omniguard.devstack import PARTS, DevStackError, PartStatus, Stack
from omniguard.devstack.parts import PartName
from omniguard.entrypoints.console import Json, print_json, table

dev_app = typer.Typer(help="Start, look at and end genuine Kafka, Valkey and Triton on loopback ports.", no_args_is_help=True)

_WATCH_SECONDS = 1.0


def default_state_dir() -> Path:
    """`omniguard/dev` in the XDG state folder."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "omniguard" / "dev"


State = Annotated[
    Path | None, typer.Option("--state", help="Folder of the stack: logs, data, ports. [default: XDG state folder]")
]


@dev_app.command()
def up(
    state: State = None,
    parts: Annotated[str, typer.Option(help="Which parts, with commas between.")] = ",".join(PARTS),
    kafka: Annotated[str | None, typer.Option(help="Bootstrap servers of your own Kafka.")] = None,
    redis: Annotated[str | None, typer.Option(help="URL of your own Redis or Valkey.")] = None,
    triton: Annotated[str | None, typer.Option(help="gRPC address (HOST:PORT) of your own Triton.")] = None,
    model_repository: Annotated[Path, typer.Option(help="Triton's model repository.")] = Path("model_repository"),
    python: Annotated[Path, typer.Option(help="Interpreter whose environment the model sees.")] = Path(sys.executable),
    trace_config: Annotated[list[str] | None, typer.Option(help="Passed to Triton, as mode=opentelemetry. Repeatable.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Stay in the foreground, watch the parts, end them on Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """Start what does not run yet and print the addresses.

    Exit status: 0 all parts serve, 1 a part failed or died, 2 the call was wrong.
    """
    console = Console(stderr=True)
    own: dict[PartName, str | None] = {"kafka": kafka, "redis": redis, "triton": triton}
    with console.status("starting") as progress:
        stack = Stack(
            state or default_state_dir(),
            parts=_names(parts),
            external={name: address for name, address in own.items() if address is not None},
            model_repository=model_repository,
            python=python,
            triton_args=[f"--trace-config={value}" for value in trace_config or ()],
            owner=os.getpid() if wait else None,
            report=progress.update,
        )
        try:
            stack.up()
        except DevStackError as error:
            if wait:
                stack.down()
            raise _failed(console, error) from error
    asked = _asked_to_stop() if wait else None  # before the addresses are printed: whoever reads them may stop us at once
    _show(stack.status(), as_json=as_json, details=False)
    if asked:
        _watch(stack, asked, console)


@dev_app.command()
def down(
    state: State = None,
    purge: Annotated[bool, typer.Option("--purge", help="Delete data and logs as well.")] = False,
    as_json: Json = False,
) -> None:
    """End everything that `up` started; somebody else's servers are left alone."""
    console = Console(stderr=True)
    stack = Stack(state or default_state_dir())
    try:
        with console.status("stopping"):
            ended = [part.name for part in stack.status() if part.pid is not None]
            stack.down(purge=purge)
    except DevStackError as error:
        raise _failed(console, error) from error
    if as_json:
        print_json({"ended": ended})


@dev_app.command()
def status(state: State = None, as_json: Json = False) -> None:
    """Show each part, and the last lines of the log of one that has died. Exit status 1 unless all of them serve.

    Without --state, the parts of a demo that is up (KEEP=1) are shown where `up` has started none.
    """
    console = Console(stderr=True)
    try:
        found = Stack(state or _in_use()).status()
    except DevStackError as error:
        raise _failed(console, error) from error
    _show(found, as_json=as_json)
    if not found:
        console.print("nothing was started here; see `omniguard dev up`", style="yellow", markup=False)
    if not found or not all(part.healthy for part in found):
        raise typer.Exit(1)


def _in_use() -> Path:
    """The folder of the stack that runs: that of `up`, or else of a demo."""
    own = default_state_dir()
    running = (folder for folder in (own, own.with_name("demo")) if any(part.pid is not None for part in Stack(folder).status()))
    return next(running, own)


def _names(text: str) -> list[PartName]:
    wanted = {word.strip() for word in text.split(",") if word.strip()}
    if unknown := wanted - set(PARTS):
        raise typer.BadParameter(
            f"no part {', '.join(sorted(unknown))}; expected some of {', '.join(PARTS)}", param_hint="--parts"
        )
    return [name for name in PARTS if name in wanted]


def _failed(console: Console, error: DevStackError) -> typer.Exit:
    console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(1)


def _show(parts: list[PartStatus], *, as_json: bool, details: bool = True) -> None:
    """The parts, and with `details` what each says of itself; of one that is not well always."""
    if as_json:
        print_json([_plain(part) for part in parts], indent=False)
        return
    shown = table("part", "state", "address", "log")
    for part in parts:
        style = "green" if part.healthy else "red"
        shown.add_row(part.name, f"[{style}]{part.state}[/]", part.urls.get(part.name, ""), part.log)
    out = Console()
    out.print(shown)
    for part in parts:
        if part.detail and (details or not part.healthy):
            out.print(f"{part.name}: {part.detail}", markup=False, highlight=False, soft_wrap=True)


def _plain(part: PartStatus) -> dict[str, object]:
    return {
        "part": part.name,
        "state": part.state,
        "healthy": part.healthy,
        "pid": part.pid,
        "urls": dict(part.urls),
        "log": part.log,
        "detail": part.detail,
    }


def _asked_to_stop() -> threading.Event:
    """Set by Ctrl-C and SIGTERM from now on. Until now they killed us, and the reaper would have ended what had started."""
    asked = threading.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: asked.set())
    return asked


def _watch(stack: Stack, asked: threading.Event, console: Console) -> None:
    """Until a signal asks to stop (exit 0) or a part dies (exit 1); the stack ends with it."""
    dead: list[PartStatus] = []
    while not dead and not asked.wait(_WATCH_SECONDS):
        dead = [part for part in stack.status() if part.state == "dead"]
    stack.down()
    for part in dead:
        console.print(f"{part.name} has died: {part.detail}\nlog: {part.log}", style="red", markup=False, soft_wrap=True)
    if dead:
        raise typer.Exit(1)
