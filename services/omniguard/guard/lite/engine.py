"""The CPU engine: small models, each for what it can show, and the table that says what their answers are worth."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping
from typing import Literal

from omniguard.guard import assets
from omniguard.guard.engine import Ask
from omniguard.guard.lite import audio, critique, image, table
from omniguard.guard.lite.examine import MAX_PIXELS, MAX_SECONDS, Examiner
from omniguard.guard.lite.findings import NAMED_FROM, Finding, counted, named, strongest
from omniguard.guard.lite.settings import LiteSettings
from omniguard.guard.wire import Capabilities, CategoriesEvent, CritiqueEvent, GuardRequest, LabelEvent

__all__ = ["LiteEngine", "LiteSettings"]

VERSION = "lite-2"
"""Part of the model digest: raise it with any change here that can move a score."""
_MODALITIES = ("text", "image", "audio", "video")


class LiteEngine:
    """Judges each part alone; the joint score is the largest. Earlier turns of a conversation are not looked at.

    Raises:
        Misconfigured: a model's files cannot be had, or loading took longer than the setting allows.

    """

    def __init__(self, settings: LiteSettings) -> None:
        self._settings = settings
        self._examiner = Examiner(settings)
        self._can = self._capabilities()

    @property
    def lanes(self) -> Mapping[str, int]:
        """Text, and everything with media. Two texts: one is computed, the next is ready."""
        return {"text": 2, "media": self._settings.media_workers}

    def lane(self, request: GuardRequest) -> str:
        """`media` if any part has some."""
        return "media" if any(part.media for part in request.parts) else "text"

    def capabilities(self) -> Capabilities:
        """What the engine takes."""
        return self._can

    async def label(self, ask: Ask) -> AsyncGenerator[LabelEvent | CategoriesEvent, None]:
        """The largest counted score over all parts, then the categories' names."""
        request = ask.request
        found, assessed = await self._examine(ask)
        scores = counted(found.scores, request.policy)
        unsafe = max(scores.values(), default=0.0)
        follows = unsafe >= request.categories_from
        yield LabelEvent(
            final=not follows,
            label=_label(unsafe),
            unsafe=unsafe,
            assessed=assessed,
            evidence=strongest(found.evidence, scores),
        )
        if follows:
            yield CategoriesEvent(categories=named(scores, request.categories_from))

    async def critique(self, ask: Ask) -> AsyncGenerator[CritiqueEvent, None]:
        """Composed from the same findings, a sentence an event."""
        request = ask.request
        found, _ = await self._examine(ask)
        scores = counted(found.scores, request.policy)
        ours = _label(max(scores.values(), default=0.0))
        conditioned = request.label is not None and request.label != ours
        sentences = list(critique.compose(scores, strongest(found.evidence, scores), request.categories))
        for place, sentence in enumerate(sentences, 1):
            last = place == len(sentences)
            yield CritiqueEvent(final=last, text=sentence if last else sentence + " ", conditioned=conditioned)

    def close(self) -> None:
        """Free the threads."""
        self._examiner.close()

    async def _examine(self, ask: Ask) -> tuple[Finding, dict[str, tuple[str, ...]]]:
        """Everything found, and by modality what is vouched for in every part of it."""
        parts = ask.request.parts
        findings = await asyncio.gather(*(self._examiner.part(ask, part) for part in parts))
        assessed: dict[str, frozenset[str]] = {}
        for part, finding in zip(parts, findings, strict=True):
            assessed[part.modality] = assessed.get(part.modality, finding.assessed) & finding.assessed
        return Finding.merged(findings), {modality: tuple(sorted(names)) for modality, names in assessed.items()}

    def _capabilities(self) -> Capabilities:
        vouched = {modality: tuple(sorted(table.assessed(modality))) for modality in _MODALITIES}
        return Capabilities(
            engine="lite",
            digest=self._digest(),
            modalities=_MODALITIES,
            assessed=vouched,
            max_text_chars=8_000,
            max_frames=32,
            max_pixels=MAX_PIXELS,
            max_audio_seconds=MAX_SECONDS,
            max_in_flight=self._settings.max_in_flight,
        )

    def _digest(self) -> str:
        """Of everything that can move a score: model files, heads and table, and the versions of this code and its libraries."""
        used = (assets.MINILM, assets.OPEN_NSFW, assets.SILERO_VAD, audio.SPEECH_MODELS[self._settings.whisper])
        parts = (VERSION, image.VERSION, audio.VERSION, assets.digest(used), self._examiner.texts.digest)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _label(unsafe: float) -> Literal["safe", "unsafe"]:
    return "unsafe" if unsafe >= NAMED_FROM else "safe"
