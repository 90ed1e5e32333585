"""The critique that follows a verdict, or the record that says why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from omniguard.contracts import cloudevents, fields
from omniguard.contracts.fields import Contract
from omniguard.contracts.verdict import SOURCE, OutputEvent
from omniguard.domain.scores import Critique
from omniguard.domain.verdict import CritiqueRecord, NoCritique
from omniguard.ports import Message

TYPE = "omniguard.critique.v1"
MAX_TEXT = 64 * 1024
"""Characters; far above what a guard's token limit lets through."""


class CritiqueSegment(Contract):
    """A segment that the critique speaks of: the part, and the segment's number in it from 0."""

    part: str
    index: int


class CritiqueData(Contract):
    """Either `text`, untrusted, with what belongs to it, or `none` with the reason why no text was written."""

    tenant: fields.Tenant
    content_id: fields.ContentId
    content_version: fields.ContentVersion
    verdict_id: str
    policy_epoch: int
    revision: int
    text: Annotated[str, Field(max_length=MAX_TEXT)] | None
    none: NoCritique | None
    segments: tuple[CritiqueSegment, ...] = ()
    language: str | None = None
    tokens: int = 0
    duration_ms: int = 0
    conditioned: bool = False


class CritiqueEvent(OutputEvent):
    """`critiques`, structured mode. In binary mode the attributes are `ce_` headers and the value is `data`."""

    type: Literal["omniguard.critique.v1"]
    data: CritiqueData


def encode(
    record: CritiqueRecord, topic: str, *, mode: cloudevents.Mode = "structured", headers: Mapping[str, bytes] | None = None
) -> Message:
    """The record to publish. `headers` (trace context) travel with it."""
    verdict, identity = record.verdict, record.verdict.identity
    critique = record.written if isinstance(record.written, Critique) else None
    data = CritiqueData(
        tenant=identity.tenant,
        content_id=identity.content_id,
        content_version=identity.content_version,
        verdict_id=verdict.id,
        policy_epoch=verdict.policy_epoch,
        revision=verdict.number,
        text=critique.text[:MAX_TEXT] if critique else None,
        none=record.written if isinstance(record.written, NoCritique) else None,
        segments=tuple(CritiqueSegment(part=part, index=index) for part, index in critique.segments) if critique else (),
        language=critique.language if critique else None,
        tokens=critique.tokens if critique else 0,
        duration_ms=critique.duration_ms if critique else 0,
        conditioned=critique.conditioned if critique else False,
    )
    return cloudevents.message(
        topic,
        identity.key,
        TYPE,
        f"c-{verdict.id.removeprefix('v-')}",
        data.model_dump(mode="json"),
        source=SOURCE,
        time=record.time,
        mode=mode,
        headers=headers,
    )


def decode(value: bytes | None, headers: Mapping[str, bytes]) -> CritiqueData:
    """Read a critique record.

    Raises:
        Unidentifiable: it is none, or of another major version.

    """
    return cloudevents.decode(value, headers, TYPE, CritiqueData)
