"""`omniguard topics`: the declared topics, and whether a broker has them."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Column

from omniguard.adapters.kafka_client import client_options
from omniguard.adapters.topics_admin import Difference, NoBroker, TopicsAdmin
from omniguard.contracts.rights import rights
from omniguard.contracts.topics import DAY_MS, Component, Topic, Topics
from omniguard.entrypoints.addresses import Bootstrap, Prefix, kafka_settings
from omniguard.entrypoints.console import Json, errors_as_exit_codes, print_json, table
from omniguard.settings import KafkaSettings, load_settings

topics_app = typer.Typer(help="List the declared topics; check a broker for them; create and raise them.", no_args_is_help=True)

MissingOnly = Annotated[
    bool, typer.Option("--missing-only", help="Exit with 1 only where a topic is missing; all else is shown and let be.")
]
_Result = TypeVar("_Result")
_PAUSE = 1.0
"""Seconds between two tries of what `--wait` waits for."""


@topics_app.command("list")
def list_topics(prefix: Prefix = None, as_json: Json = False) -> None:
    """Show every topic as declared, and who needs which right. Asks no broker."""
    with errors_as_exit_codes():
        topics = Topics(load_settings().kafka.topic_prefix if prefix is None else prefix)
    if as_json:
        print_json([_row(t) for t in topics.all])
        return
    caption = "Keys: tenant|content_id; of dead letters as received. --json shows sizes, and what each topic is for."
    shown = table(Column("topic", no_wrap=True), "parts", "kept", "read by", "written by", caption=caption)
    for t in topics.all:
        shown.add_row(t.name, str(t.partitions), f"{t.retention_ms // DAY_MS} days", _names(t.readers), _names(t.writers))
    Console().print(shown)


@topics_app.command()
def check(
    kafka: Bootstrap = None,
    prefix: Prefix = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for a broker, and for topics that are missing.")] = 0,
    missing_only: MissingOnly = False,
    as_json: Json = False,
) -> None:
    """Compare a broker with the declaration.

    Exit status: 0 as declared, 1 differences, 2 the broker refused or did not answer.
    """
    with errors_as_exit_codes():
        settings = kafka_settings(kafka, prefix)
        differences = asyncio.run(_patiently(wait, lambda: _check(settings), lambda found: not any(d.missing for d in found)))
    _show(differences, as_json, "nothing differs", "differs")
    if _fails(differences, missing_only):
        raise typer.Exit(1)


@topics_app.command()
def apply(
    kafka: Bootstrap = None,
    prefix: Prefix = None,
    replication: Annotated[int | None, typer.Option(min=1, help="Copies of new partitions. [default: 3, or all brokers]")] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for a broker.")] = 0,
    missing_only: MissingOnly = False,
    as_json: Json = False,
) -> None:
    """Create missing topics; raise partitions, retention and sizes that are below the declaration. Deletes and lowers nothing.

    Exit status: 0 all is now as declared, 1 something is left for you, 2 the broker refused or did not answer.
    """
    with errors_as_exit_codes():
        settings = kafka_settings(kafka, prefix)
        mended, left = asyncio.run(_patiently(wait, lambda: _apply(settings, replication), lambda _: True))
    if as_json:
        print_json({"mended": mended, "left": left})
    else:
        _show(mended, False, "nothing to do", "mended", "found before", "now")
        if left:
            _show(left, False, "", "left for you")
    if _fails(left, missing_only):
        raise typer.Exit(1)


@topics_app.command()
def acls(
    component: Annotated[Component, typer.Argument(help="Who connects to the broker.", show_default=False)],
    principal: Annotated[str, typer.Option(help="The principal that the broker gives to it.")] = "User:omniguard",
    prefix: Prefix = None,
    as_json: Json = False,
) -> None:
    """Show the rights that a component needs, as commands of Kafka's own tool. Asks no broker.

    Reading with a group of your own choice (consumer) needs Read on that group as well.
    """
    with errors_as_exit_codes():
        found = rights(Topics(load_settings().kafka.topic_prefix if prefix is None else prefix), component)
    if as_json:
        print_json(found)
        return
    for right in found:
        operations = " ".join(f"--operation {operation}" for operation in right.operations)
        typer.echo(
            "kafka-acls.sh --bootstrap-server HOST:PORT --command-config admin.properties --add "
            f"--allow-principal {shlex.quote(principal)} {operations} --{right.resource} {right.name}"
        )


def _fails(differences: Sequence[Difference], missing_only: bool) -> bool:
    return any(d.missing or not missing_only for d in differences)


async def _patiently(seconds: float, ask: Callable[[], Awaitable[_Result]], enough: Callable[[_Result], bool]) -> _Result:
    """What `ask` gives once a broker answers and it is enough; after `seconds` whatever it gives or raises then."""
    until = time.monotonic() + seconds
    while True:
        try:
            if enough(result := await ask()) or time.monotonic() >= until:
                return result
        except NoBroker:
            if time.monotonic() >= until:
                raise
        await asyncio.sleep(_PAUSE)


async def _check(settings: KafkaSettings) -> list[Difference]:
    async with TopicsAdmin(client_options(settings)) as admin:
        return await admin.check(Topics(settings.topic_prefix).all)


async def _apply(settings: KafkaSettings, replication: int | None) -> tuple[list[Difference], list[Difference]]:
    async with TopicsAdmin(client_options(settings)) as admin:
        return await admin.apply(Topics(settings.topic_prefix).all, replication=replication)


def _show(differences: list[Difference], as_json: bool, none: str, title: str, *done: str) -> None:
    """As a table; with `done`, the headings of what was and what is now, nothing is left to do."""
    if as_json:
        print_json(differences)
    elif not differences:
        Console().print(none)
    else:
        shown = table("topic", "setting", *(done or ("found", "expected", "what to do")), title=title)
        for d in differences:
            shown.add_row(d.topic, d.setting, d.found, d.expected, *([] if done else [d.do]))
        Console().print(shown)


def _row(topic: Topic) -> dict[str, Any]:
    return {
        "name": topic.name,
        "purpose": topic.purpose,
        "key": topic.key,
        "partitions": topic.partitions,
        "configs": topic.configs,
        "readers": sorted(topic.readers),
        "writers": sorted(topic.writers),
    }


def _names(components: frozenset[Component]) -> str:
    return "\n".join(sorted(components))
