"""The guard model contract: tensors, request and events. Client and model import this file; nothing else is shared.

Inputs   REQUEST  BYTES[1]    UTF-8 JSON of `GuardRequest`
         MEDIA    BYTES[-1]   optional; one element an encoded frame (JPEG, PNG, WebP) or sound clip (PCM16 or FLAC), never floats
Outputs  EVENT    BYTES[1]    UTF-8 JSON of one of the events below
         UNSAFE   FP32[1]     the label's score, NaN where an event has none
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

MODEL = "omniguard"
REQUEST = "REQUEST"
MEDIA = "MEDIA"
EVENT = "EVENT"
UNSAFE = "UNSAFE"

MAX_DEADLINE_MS = 2**53
"""Larger than any date apart; beyond, seconds could not be told as a float."""

Score = Annotated[float, Field(ge=0.0, le=1.0, strict=True)]  # strict: false is no score of 0


class Wire(BaseModel):
    """Unknown fields are ignored, so that client and model may differ by one release."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Mode(StrEnum):
    """What is asked of the model."""

    LABEL = "label"
    CRITIQUE = "critique"
    CAPABILITIES = "capabilities"
    STATUS = "status"


class Priority:
    """Triton-style: the smaller, the sooner."""

    CANARY = 0
    LIVE_LABEL = 1
    BACKFILL_LABEL = 2
    LATE_LABEL = 3
    CRITIQUE = 4


class WireCategory(Wire):
    """A category as the policy describes it to the model."""

    name: str
    description: str


class WirePart(Wire):
    """One text, or one run of MEDIA elements.

    `media` is the half-open index range in MEDIA. `modality` is what can be judged alone: text, image, audio or video (frames).
    `frame_times` are seconds in the part, one a frame; `sample_rate` belongs to a sound clip.
    """

    id: str
    modality: Literal["text", "image", "audio", "video"]
    role: str | None = None
    text: str | None = None
    media: tuple[int, int] | None = None
    encoding: Literal["jpeg", "png", "webp", "pcm16", "flac"] | None = None
    frame_times: tuple[float, ...] = ()
    sample_rate: int | None = None
    t0: float | None = None
    t1: float | None = None


class WireTurn(Wire):
    """An earlier message of the conversation; context, never judged for itself."""

    role: str
    text: str


class GuardRequest(Wire):
    """One question to the guard.

    `categories_from` is the policy's lowest threshold: at or over it the label is followed by categories.
    `label` and `categories` are what a critique continues from. `deadline_ms` is time left when the request was sent.
    `tenant` isolates caches. `traceparent` is W3C trace context.
    """

    mode: Mode
    tenant: str = ""
    policy: tuple[WireCategory, ...] = ()
    parts: tuple[WirePart, ...] = ()
    context: tuple[WireTurn, ...] = ()
    categories_from: Score = 0.5
    label: Literal["safe", "unsafe"] | None = None
    categories: tuple[str, ...] = ()
    max_tokens: int = Field(default=256, ge=1, le=4096)
    deadline_ms: int | None = Field(default=None, ge=0, le=MAX_DEADLINE_MS)
    priority: int = Field(default=Priority.LIVE_LABEL, ge=0, le=9)
    traceparent: str | None = None


class WireEvidence(Wire):
    """Where the engine saw something; offsets in characters or seconds, never the content."""

    kind: str
    start: float | None = None
    end: float | None = None
    category: str | None = None
    score: Score | None = None


class Usage(Wire):
    """What an answer cost. `in_flight` counts the requests the model held when this one was answered."""

    queue_ms: float = 0.0
    compute_ms: float = 0.0
    prompt_tokens: int = 0
    output_tokens: int = 0
    in_flight: int = 0


class LabelEvent(Wire):
    """The first event of a label request. `mass` is p_safe + p_unsafe, None for engines without tokens.

    `assessed` maps each modality of the request to the categories this engine vouches for on this very input.
    `digest` is the model's, as in its capabilities: a client notices at once that another model answers.
    """

    kind: Literal["label"] = "label"
    sequence: int = 0
    final: bool = False
    label: Literal["safe", "unsafe"]
    unsafe: Score
    digest: str = ""
    mass: Score | None = None
    assessed: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    evidence: tuple[WireEvidence, ...] = ()
    usage: Usage = Usage()


class WireNamed(Wire):
    """A category the model named; `name` is the policy's, or None where the model's own words map to nothing.

    `free` is the model's own name for a risk that nothing it was shown fits, from engines that are trained to give one.
    Untrusted text.
    """

    name: str | None
    confidence: Score
    free: str | None = Field(default=None, max_length=80)


class CategoriesEvent(Wire):
    """Follows a label at or over `categories_from`."""

    kind: Literal["categories"] = "categories"
    sequence: int = 1
    final: bool = True
    categories: tuple[WireNamed, ...]
    usage: Usage = Usage()


class CritiqueEvent(Wire):
    """A piece of critique; the last one is final. Untrusted text."""

    kind: Literal["critique"] = "critique"
    sequence: int = 0
    final: bool = True
    text: str
    language: str = "en"
    conditioned: bool = False
    usage: Usage = Usage()


class GuardErrorCode(StrEnum):
    """Why the model has no answer. The first three may pass."""

    UNAVAILABLE = "unavailable"
    DEADLINE = "deadline"
    INTERNAL = "internal"
    INVALID_REQUEST = "invalid_request"
    UNSUPPORTED = "unsupported"
    LOW_MASS = "low_mass"
    CANCELLED = "cancelled"


class ErrorEvent(Wire):
    """The typed error that ends a request. `message` holds no content."""

    kind: Literal["error"] = "error"
    sequence: int = 0
    final: bool = True
    code: GuardErrorCode
    message: str


class Capabilities(Wire):
    """What the loaded engine can take; sampling plans are made from it.

    `max_frames` and `max_audio_seconds` are per request; `max_pixels` per frame; `grid` is the side length multiple of a frame.
    `digest` covers weights, profile, parser, engine and version, dtype, processor limits, calibration.
    `assessed` maps a modality to the categories the engine may vouch for at best. `at_once` labels are computed together; None:
    all that the engine takes.
    """

    kind: Literal["capabilities"] = "capabilities"
    sequence: int = 0
    final: bool = True
    engine: str
    digest: str
    calibration: str | None = None
    label_first: bool = True
    modalities: tuple[str, ...]
    assessed: dict[str, tuple[str, ...]]
    max_text_chars: int
    max_frames: int
    max_pixels: int
    grid: int = 28
    max_audio_seconds: float
    sample_rate: int = 16_000
    max_in_flight: int
    at_once: int | None = None


class Waiting(Wire):
    """Requests of one priority that the engine does not compute yet, and for how long the oldest has waited."""

    priority: int
    requests: int
    oldest_ms: float


class StatusEvent(Wire):
    """How the model gets on; answered past its queue, for the supervisor beside it.

    `held` requests are inside, `answered` ended with an answer since it was loaded; an expired deadline is none. `silent_ms` have
    passed since an event of any answer left, or since the model last held nothing; 0 while it does. `canary` is where a request
    of priority CANARY is, and `canary_ms` for how long. `p99_ms` is of the time that the last answers took to compute. `process`
    is another word for each process of the model: Triton never answers what was under way in one that died. `waiting` has each
    priority of which a request waits for its turn, but the canary's.
    """

    kind: Literal["status"] = "status"
    sequence: int = 0
    final: bool = True
    held: int
    answered: int
    silent_ms: float
    process: str = ""
    canary: Literal["none", "waiting", "computing"] = "none"
    canary_ms: float = 0.0
    p99_ms: float = 0.0
    waiting: tuple[Waiting, ...] = ()


Event = Annotated[
    LabelEvent | CategoriesEvent | CritiqueEvent | ErrorEvent | Capabilities | StatusEvent, Field(discriminator="kind")
]
EVENTS: TypeAdapter[LabelEvent | CategoriesEvent | CritiqueEvent | ErrorEvent | Capabilities | StatusEvent] = TypeAdapter(Event)
