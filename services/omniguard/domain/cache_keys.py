"""Every key of the cache, in one place.

    og:a:<tenant>:<digest>    an assessment
    og:s:<tenant>:<digest>    the memo of one segment
    og:f:<digest>             the lease of a single flight
    og:i:<tenant>:<digest>    a set: the keys kept for one content, for deletion
    og:d:<tenant>:<digest>    the latest version of one content that was deleted; nothing of it is kept again
    og:n:<digest>             how often one Kafka record was started

Each command touches one key, so every layout of a Redis Cluster fits. Digests hide content ids and keep keys short.
Fields are encoded with their type and length before hashing: no two different inputs give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeAlias

from omniguard.domain.content import FetchedPart, Segment, Turn

Field: TypeAlias = "bool | int | float | str | bytes | Sequence[Field] | None"
"""What a key may be made of."""


def digest(value: Field) -> str:
    """SHA-256 over an encoding in which every field carries its type and length; hexadecimal."""
    hasher = hashlib.sha256()
    _feed(hasher, value)
    return hasher.hexdigest()


def assessment_key(
    tenant: str,
    parts: Sequence[tuple[str, str | None, str]],
    context: Sequence[Turn],
    prompt_digest: str,
    model_digest: str,
    plan_digest: str,
) -> str:
    """Key of an assessment.

    `parts` are (modality, role, sha256 of the bytes we read) in the order of the upload; `prompt_digest` covers category names
    and descriptions, `model_digest` all that shapes a score, `plan_digest` how media are cut.
    """
    turns = [(turn.role, turn.text) for turn in context]
    return f"og:a:{tenant}:{digest((tenant, parts, turns, prompt_digest, model_digest, plan_digest))}"


def content_hash(tenant: str, parts: Sequence[FetchedPart]) -> str:
    """Of what an upload holds, whatever its id: modalities and bytes of its parts, in their order.

    No key of the store: it keeps equal contents, and all that is asked about one, at one replica of the guard.
    """
    return digest((tenant, [(part.modality.value, part.sha256) for part in parts]))


def segment_key(tenant: str, segment_digest: str, prompt_digest: str, model_digest: str, plan_digest: str) -> str:
    """Key of a segment's memo."""
    return f"og:s:{tenant}:{digest((tenant, segment_digest, prompt_digest, model_digest, plan_digest))}"


def segment_digest(segment: Segment, text_digest: str) -> str:
    """Of the segment's own bytes and times, and of the upload text that it is judged with.

    The part's id and the segment's index are left out: they name the segment within one event, and the same window may come
    again in another. Whoever recalls a memo puts its own part and index on it.
    """
    sound = (segment.sound.sample_rate, segment.sound.data) if segment.sound else None
    frames = [(frame.time, frame.data) for frame in segment.frames]
    span = (segment.t0, segment.t1, segment.start, segment.end)
    return digest((segment.modality.value, span, segment.text, segment.role, frames, sound, text_digest))


def flight_key(key: str) -> str:
    """Key of the lease under which one worker does the work for `key`."""
    return f"og:f:{digest(key)}"


def index_key(content: str) -> str:
    """Key of the set of keys kept for a content (`tenant|content_id`)."""
    return f"og:i:{content.partition('|')[0]}:{digest(content)}"


def deleted_key(content: str) -> str:
    """Key of the mark that a content (`tenant|content_id`) was deleted."""
    return f"og:d:{content.partition('|')[0]}:{digest(content)}"


def attempts_key(record: str) -> str:
    """Key of the count of starts of a record (`topic/partition/offset`)."""
    return f"og:n:{digest(record)}"


def _feed(hasher: hashlib._Hash, value: Field) -> None:
    if isinstance(value, bytes):
        kind, body = b"b", value
    elif isinstance(value, str):
        kind, body = b"s", value.encode("utf-8", "surrogatepass")
    elif isinstance(value, Sequence):
        hasher.update(b"l%d:" % len(value))
        for item in value:
            _feed(hasher, item)
        return
    else:
        kind, body = type(value).__name__.encode(), repr(value).encode()
    hasher.update(b"%s%d:" % (kind, len(body)))
    hasher.update(body)
