"""Sample uploads with the answers they should get, for the demo and the end-to-end tests. The data are in `samples.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from ruamel.yaml import YAML

from omniguard.contracts.cloudevents import timestamp

__all__ = ["MEDIA", "Expectation", "Sample", "load"]

MEDIA = Path(__file__).parent / "media"
"""The folder that a tenant's `file_roots` must hold for the samples to be fetched."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must hold of the answer; None and empty mean that anything may.

    `actions` are those allowed. `span` is (from, to) in seconds of `part`: a published segment must overlap it.
    `verdict` is False where nobody can say whose event it is, so that a dead letter is the whole answer.
    """

    verdict: bool = True
    dead_letter: bool = False
    status: str | None = None
    actions: tuple[str, ...] = ()
    reason: str | None = None
    categories: tuple[str, ...] = ()
    part: str | None = None
    span: tuple[float, float] | None = None
    cache_hit: bool | None = None
    critique: bool | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One record to publish to `content-events`. `after` names the sample whose verdict has to be there first."""

    name: str
    about: str
    tenant: str
    content_id: str
    content_version: int
    value: bytes
    expect: Expectation
    after: str | None = None

    @property
    def key(self) -> bytes:
        """The Kafka key."""
        return f"{self.tenant}|{self.content_id}".encode()


def load(prefix: str = "", *, tenant: str = "acme", deadline_seconds: float | None = None, media: Path = MEDIA) -> list[Sample]:
    """The samples in the order in which they are to be sent, as structured CloudEvents.

    `prefix` comes before every content id, so that a second run is not taken for a redelivery of the first.
    `deadline_seconds` from now becomes every event's deadline; None leaves it to the lane. `media` is where the worker finds
    the files.
    """
    entries = YAML(typ="safe").load(Path(__file__).with_name("samples.yaml"))
    now = datetime.now(UTC)
    deadline = now + timedelta(seconds=deadline_seconds) if deadline_seconds is not None else None
    return [_sample(entry, prefix, tenant, now, deadline, media) for entry in entries]


def _sample(entry: Mapping[str, Any], prefix: str, tenant: str, now: datetime, deadline: datetime | None, media: Path) -> Sample:
    content_id = prefix + str(entry.get("content", entry["name"]))
    version = int(entry.get("version", 1))
    data = {
        "tenant": tenant,
        "content_id": content_id,
        "content_version": version,
        "cause": entry.get("cause", "upload"),
        "parts": [_part(part, media) for part in entry.get("parts", ())],
    }
    if deadline is not None:
        data["deadline"] = timestamp(deadline)
    event = {
        "specversion": "1.0",
        "type": entry.get("type", "omniguard.content-event.v1"),
        "source": "/omniguard/samples",
        "id": f"{content_id}-v{version}",
        "subject": f"{tenant}|{content_id}",
        "time": timestamp(now),
        "datacontenttype": "application/json",
        "data": data,
    }
    value = str(entry["raw"]).encode() if "raw" in entry else orjson.dumps(event)
    return Sample(
        name=str(entry["name"]),
        about=str(entry["about"]),
        tenant=tenant,
        content_id=content_id,
        content_version=version,
        value=value,
        expect=_expectation(entry["expect"]),
        after=entry.get("after"),
    )


def _part(part: Mapping[str, Any], media: Path) -> dict[str, Any]:
    fields = {name: value for name, value in part.items() if name != "file"}
    if "file" in part:
        fields["uri"] = (media.absolute() / part["file"]).as_uri()
    return fields


def _expectation(entry: Mapping[str, Any]) -> Expectation:
    action = entry.get("action", ())
    span = entry.get("span")
    return Expectation(
        verdict=entry.get("verdict", True),
        dead_letter=entry.get("dead_letter", False),
        status=entry.get("status"),
        actions=(action,) if isinstance(action, str) else tuple(action),
        reason=entry.get("reason"),
        categories=tuple(entry.get("categories", ())),
        part=entry.get("part"),
        span=(float(span[0]), float(span[1])) if span else None,
        cache_hit=entry.get("cache_hit"),
        critique=entry.get("critique"),
    )
