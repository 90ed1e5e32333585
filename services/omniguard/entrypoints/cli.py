"""The `omniguard` command. Each command is a file of its own, imported when it is asked for.

So a worker's image needs none of what the developer's commands import, and no command pays for another's imports.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command lies (`module:attribute`, a Typer app), the extra that it needs, and what `omniguard --help` says of it."""

    place: str
    extra: str
    summary: str


COMMANDS = {
    "demo": Command("omniguard.entrypoints.demo:demo_app", "dev", "Run everything here and judge sample uploads."),
    "worker": Command("omniguard.entrypoints.worker_command:worker_app", "worker", "Consume a lane until told to stop."),
    "emerging": Command(
        "omniguard.entrypoints.emerging:emerging_app", "worker,lite", "Gather freely given names into hints at new risks."
    ),
    "publish": Command("omniguard.entrypoints.publish:publish_app", "worker", "Publish one upload to Kafka."),
    "probe": Command("omniguard.entrypoints.probe:probe_app", "worker", "Prove by two uploads that the installation judges."),
    "watch": Command("omniguard.entrypoints.watch:watch_app", "worker", "Show verdicts and critiques as they arrive."),
    "dlq": Command("omniguard.entrypoints.dlq:dlq_app", "worker", "Show dead letters, and replay what they hold."),
    "moderate": Command("omniguard.entrypoints.moderate:moderate_app", "worker", "Judge one upload, without Kafka."),
    "trigger": Command("omniguard.entrypoints.trigger:trigger_app", "worker", "Make the test phrase, picture or tone."),
    "policy": Command("omniguard.entrypoints.policy:policy_app", "worker", "Check and show policy and tenants files."),
    "profile": Command("omniguard.entrypoints.profile:profile_app", "lite", "Import, check and show a checkpoint's profile."),
    "settings": Command("omniguard.entrypoints.settings_command:settings_app", "worker", "Show every setting in force."),
    "topics": Command("omniguard.entrypoints.topics:topics_app", "worker", "List, check and create the topics."),
    "contract": Command("omniguard.entrypoints.contract:contract_app", "worker", "Write or check schemas and AsyncAPI."),
    "supervise": Command("omniguard.entrypoints.supervise:supervise_app", "worker", "Keep the model of the Triton beside alive."),
    "model": Command("omniguard.entrypoints.model:model_app", "worker", "Fetch a model's folder, checked by its digest."),
    "dev": Command("omniguard.entrypoints.dev:dev_app", "dev", "Start and end genuine Kafka, Valkey and Triton."),
    "capacity": Command("omniguard.entrypoints.capacity:capacity_app", "worker", "Say what an installation needs for a traffic."),
    "eval": Command("omniguard.entrypoints.evaluate:evaluate_app", "lite", "Measure a guard on labelled rows."),
    "calibrate": Command(
        "omniguard.entrypoints.calibrate:calibrate_app", "worker,lite", "Fit a guard's scores to labelled uploads."
    ),
    "reward": Command("omniguard.entrypoints.reward:reward_app", "lite", "Score ProGuard's answers by its training reward."),
    "assets": Command("omniguard.entrypoints.assets:assets_app", "lite", "Fetch the lite engine's model files."),
}
"""Every command, in the order of `omniguard --help`."""

_COMPLETION = ("install_completion", "show_completion")  # Typer's own, added to each app; they work for the root alone


class _Commands(TyperGroup):
    """Lists commands by their summaries, and imports the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - Typer's signature
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        command = COMMANDS.get(cmd_name)
        return TyperCommand(cmd_name, help=command.summary) if command else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, listed, rest = super().resolve_command(ctx, args)
        return name, load(name) if name and listed else None, rest


def load(name: str) -> Any:
    """The whole command; where its extra is not installed, one that says so."""
    command = COMMANDS[name]
    module, _, attribute = command.place.partition(":")
    try:
        app_of_it = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "omniguard":
            raise
        return _absent(name, command.extra)
    built = typer.main.get_command(app_of_it)
    built.name = name
    built.params = [param for param in built.params if param.name not in _COMPLETION]
    return built


def _absent(name: str, extra: str) -> Any:
    """Stands for a command whose extra is not installed."""
    stub = typer.Typer(add_completion=False, help=f"Not installed here: it needs pip install 'omniguard[{extra}]'.")

    @stub.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
    def tell() -> None:
        typer.echo(f"omniguard {name} is not installed here; pip install 'omniguard[{extra}]'", err=True)
        raise typer.Exit(2)

    built = typer.main.get_command(stub)
    built.name = name
    built.help = stub.info.help
    return built


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # their frames show local variables, and those may hold what users wrote
    help="Judge the text, images, audio and video of an upload together, and publish the verdict to Kafka.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("omniguard"))
        raise typer.Exit


@app.callback()
def _main(
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass
