"""`omniguard topics`: the declared topics, and whether a broker has them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any

import orjson
import typer
from rich import box
from rich.console import Console
from rich.table import Column, Table

from omniguard.adapters.kafka_client import client_options
from omniguard.adapters.topics_admin import Difference, TopicsAdmin
from omniguard.contracts.topics import DAY_MS, Component, Topic, Topics
from omniguard.errors import Misconfigured
from omniguard.settings import KafkaSettings, load_settings

topics_app = typer.Typer(help="List the declared topics; check a broker for them; create and raise them.", no_args_is_help=True)

Bootstrap = Annotated[str | None, typer.Option("--kafka", help="Bootstrap servers. [default: OMNIGUARD_KAFKA__BOOTSTRAP]")]
Prefix = Annotated[str | None, typer.Option("--prefix", help="Put before every name. [default: OMNIGUARD_KAFKA__TOPIC_PREFIX]")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


@topics_app.command("list")
def list_topics(prefix: Prefix = None, as_json: Json = False) -> None:
    """Show every topic as declared, and who needs which right. Asks no broker."""
    topics = Topics(_settings(None, prefix).topic_prefix)
    if as_json:
        _print_json([_row(t) for t in topics.all])
        return
    caption = "Keys: tenant|content_id; of dead letters as received. --json shows sizes, and what each topic is for."
    table = Table(
        Column("topic", no_wrap=True),
        "parts",
        "kept",
        "read by",
        "written by",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        caption=caption,
    )
    for t in topics.all:
        table.add_row(t.name, str(t.partitions), f"{t.retention_ms // DAY_MS} days", _names(t.readers), _names(t.writers))
    Console().print(table)


@topics_app.command()
def check(kafka: Bootstrap = None, prefix: Prefix = None, as_json: Json = False) -> None:
    """Compare a broker with the declaration.

    Exit status: 0 as declared, 1 differences, 2 the broker refused or did not answer.
    """
    settings = _settings(kafka, prefix)
    differences = asyncio.run(_check(settings))
    _show(differences, as_json, "nothing differs", "differs")
    if differences:
        raise typer.Exit(1)


@topics_app.command()
def apply(
    kafka: Bootstrap = None,
    prefix: Prefix = None,
    replication: Annotated[int | None, typer.Option(min=1, help="Copies of new partitions. [default: 3, or all brokers]")] = None,
    as_json: Json = False,
) -> None:
    """Create missing topics; raise partitions, retention and sizes that are below the declaration. Deletes and lowers nothing.

    Exit status: 0 all is now as declared, 1 something is left for you, 2 the broker refused or did not answer.
    """
    settings = _settings(kafka, prefix)
    mended, left = asyncio.run(_apply(settings, replication))
    if as_json:
        _print_json({"mended": [_difference(d) for d in mended], "left": [_difference(d) for d in left]})
    else:
        _show(mended, False, "nothing to do", "mended")
        if left:
            _show(left, False, "", "left for you")
    if left:
        raise typer.Exit(1)


async def _check(settings: KafkaSettings) -> list[Difference]:
    async with _admin(settings) as admin:
        return await admin.check(Topics(settings.topic_prefix).all)


async def _apply(settings: KafkaSettings, replication: int | None) -> tuple[list[Difference], list[Difference]]:
    async with _admin(settings) as admin:
        return await admin.apply(Topics(settings.topic_prefix).all, replication=replication)


@asynccontextmanager
async def _admin(settings: KafkaSettings) -> AsyncIterator[TopicsAdmin]:
    with _exit_2_if_misconfigured():
        async with TopicsAdmin(client_options(settings)) as admin:
            yield admin


def _settings(kafka: str | None, prefix: str | None) -> KafkaSettings:
    given = {name: value for name, value in (("bootstrap", kafka), ("topic_prefix", prefix)) if value is not None}
    with _exit_2_if_misconfigured():
        return load_settings(kafka=given).kafka


@contextmanager
def _exit_2_if_misconfigured() -> Iterator[None]:
    try:
        yield
    except Misconfigured as error:
        Console(stderr=True).print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(2) from error


def _show(differences: list[Difference], as_json: bool, none: str, title: str) -> None:
    if as_json:
        _print_json([_difference(d) for d in differences])
    elif not differences:
        Console().print(none)
    else:
        table = Table("topic", "setting", "found", "expected", "what to do", title=title)
        for d in differences:
            table.add_row(d.topic, d.setting, d.found, d.expected, d.do)
        Console().print(table)


def _difference(d: Difference) -> dict[str, Any]:
    return {
        "topic": d.topic,
        "setting": d.setting,
        "found": d.found,
        "expected": d.expected,
        "mendable": d.mendable,
        "do": d.do,
    }


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


def _print_json(value: object) -> None:
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
