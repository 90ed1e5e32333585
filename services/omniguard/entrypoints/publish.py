"""`omniguard publish`: a content event as a platform would send it."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from omniguard.adapters.kafka_publisher import KafkaPublisher
from omniguard.contracts.topics import Topics
from omniguard.domain.content import Cause
from omniguard.domain.lane import Lane
from omniguard.entrypoints.addresses import Bootstrap, Prefix, kafka_settings
from omniguard.entrypoints.console import Json, errors_as_exit_codes, print_json, untrusted
from omniguard.entrypoints.uploads import content_event, parts_of
from omniguard.errors import Misconfigured, OmniGuardError
from omniguard.observability import configure_logging
from omniguard.ports import Message
from omniguard.settings import KafkaSettings

publish_app = typer.Typer()


class NotPublished(OmniGuardError):
    """The broker did not take the event in time."""


@publish_app.command()
def publish(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|TEXT|URI|EVENT.json…",
            help="The parts of one upload in order; or one file with a whole event. `-` reads a text.",
        ),
    ],
    tenant: Annotated[str, typer.Option(help="The tenant.")] = "acme",
    content_id: Annotated[str | None, typer.Option("--id", help="The content's id. [default: a new one]")] = None,
    version: Annotated[int, typer.Option(min=0, help="The content's version.")] = 1,
    request: Annotated[int, typer.Option(min=0, help="Raised when the same version shall be judged again.")] = 0,
    cause: Annotated[Cause, typer.Option(help="Why it is judged.")] = Cause.UPLOAD,
    lane: Annotated[Lane, typer.Option(help="The lane, that is, the topic.")] = Lane.LIVE,
    key: Annotated[str | None, typer.Option(help="The record's key. [default: tenant|id; an event file's subject]")] = None,
    reference: Annotated[
        bool, typer.Option("--reference", help="Name every file by file:// rather than put small ones into the event.")
    ] = False,
    kafka: Bootstrap = None,
    prefix: Prefix = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the broker.")] = 30.0,
    as_json: Json = False,
) -> None:
    """Publish one upload, and return once every in-sync replica has it.

    A text is sent inline; a file too if it is small, else as a file:// reference that the worker must be able to read and the
    tenant be allowed to name.

    Exit status: 0 acknowledged, 1 no broker took it in time, 2 the call or a setting is wrong.
    """
    configure_logging(level="ERROR", json=False)
    with errors_as_exit_codes():
        settings = kafka_settings(kafka, prefix)
        topic = Topics(settings.topic_prefix).content(lane)
        if len(words) == 1 and words[0].endswith(".json"):
            sent = event_file(Path(words[0]), topic, key)
        else:
            upload = content_id or f"cli-{uuid.uuid4().hex[:12]}"
            parts = parts_of(words, inline=not reference)
            made = content_event(topic, parts, tenant=tenant, content_id=upload, version=version, request=request, cause=cause)
            sent = made if key is None else Message(topic, key.encode(), made.value, made.headers)
        asyncio.run(send(settings, sent, timeout))
    shown = (sent.key or b"").decode(errors="replace")
    if as_json:
        print_json({"topic": sent.topic, "key": shown, "bytes": len(sent.value or b"")})
    else:
        Console().print(untrusted(f"published {shown} to {sent.topic}", lines=False))


def event_file(path: Path, topic: str, key: str | None) -> Message:
    """A file's bytes as they are. Without `key` the record's key is the event's subject, else tenant|content_id of its data."""
    try:
        value = path.read_bytes()
    except OSError as error:
        raise Misconfigured(f"{path}: cannot be read ({error.strerror}); expected a file with an event") from error
    if key is None:
        key = _key_of(value)
    if key is None:
        raise Misconfigured(
            f"{path}: found neither subject nor tenant and content_id, expected one of them; or name the key by --key"
        )
    return Message(topic, key.encode(), value)


async def send(settings: KafkaSettings, message: Message, timeout: float) -> None:
    """Wait for the broker and publish.

    Raises:
        NotPublished: not within `timeout` seconds.
        Misconfigured: the broker refuses it.

    """
    publisher = KafkaPublisher(settings)
    try:
        async with asyncio.timeout(timeout):
            await publisher.start()
            await publisher.publish(message)
    except TimeoutError as error:
        raise NotPublished(
            f"found no broker at {settings.bootstrap} that took the event within {timeout:g} s; "
            "name yours by --kafka HOST:PORT, or start one: omniguard dev up"
        ) from error
    finally:
        await publisher.stop()


def _key_of(value: bytes) -> str | None:
    try:
        event = orjson.loads(value)
        data = event["data"]
        if isinstance(event.get("subject"), str):
            return str(event["subject"])
        return f"{data['tenant']}|{data['content_id']}"
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return None
