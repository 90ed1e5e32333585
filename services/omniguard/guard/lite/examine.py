"""Looks at parts with the loaded models, and remembers what it found."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong

from omniguard.errors import Misconfigured
from omniguard.guard import decoded
from omniguard.guard.engine import Ask
from omniguard.guard.lite import table
from omniguard.guard.lite.audio import Speech, Voice
from omniguard.guard.lite.findings import Finding, evident, words
from omniguard.guard.lite.image import ImageModels
from omniguard.guard.lite.settings import LiteSettings
from omniguard.guard.lite.text import ENGLISH, TextHeads, TextScore
from omniguard.guard.wire import WirePart

__all__ = ["MAX_PIXELS", "MAX_SECONDS", "Examiner"]

MAX_PIXELS = 602_112
MAX_SECONDS = 30.0
_REMEMBERED = 4096
"""Findings kept: the parts of a segment over threshold are asked for again, alone, and once more for the critique."""


class Examiner:
    """All models, loaded side by side before the constructor returns: one that is ready can take everything.

    Text has a thread of its own, so that no label of a text waits for a transcription.

    Raises:
        Misconfigured: a model's files cannot be had, or loading took longer than the setting allows.

    """

    def __init__(self, settings: LiteSettings) -> None:
        self._text_threads = ThreadPoolExecutor(1, "lite-text")
        self._media_threads = ThreadPoolExecutor(settings.media_workers, "lite-media")
        self._findings: OrderedDict[bytes, Finding] = OrderedDict()
        loading = ThreadPoolExecutor(3, "lite-load")
        texts = loading.submit(TextHeads, threads=settings.threads)
        images = loading.submit(ImageModels, threads=settings.threads)
        voice = loading.submit(Voice, model=settings.whisper, threads=settings.threads, workers=settings.media_workers)
        loading.shutdown(wait=False)
        try:
            self.texts = texts.result(settings.load_seconds)
            self._images = images.result(settings.load_seconds)
            self._voice = voice.result(settings.load_seconds)
        except TookTooLong as error:
            raise Misconfigured(
                f"a model was not loaded after {settings.load_seconds} s; fetch its files beforehand, or raise load_seconds"
            ) from error

    def close(self) -> None:
        """Drop what waits; a model call that runs ends by itself."""
        self._text_threads.shutdown(wait=False, cancel_futures=True)
        self._media_threads.shutdown(wait=False, cancel_futures=True)

    async def part(self, ask: Ask, part: WirePart) -> Finding:
        """What the part shows, from memory if the tenant had it examined before.

        Raises:
            Refusal: invalid_request, if the media cannot be decoded; cancelled.

        """
        media = ask.media[slice(*(part.media or (0, 0)))]
        key = _key(ask.request.tenant, part, media)
        if (known := self._findings.get(key)) is not None:
            self._findings.move_to_end(key)
            return known
        finding = await self._look(ask, part, media)
        self._findings[key] = finding
        while len(self._findings) > _REMEMBERED:
            self._findings.popitem(last=False)
        return finding

    async def _look(self, ask: Ask, part: WirePart, media: tuple[bytes, ...]) -> Finding:
        if part.modality == "text":
            return words("text_span", await self._score(part.text or ""))
        if part.modality == "audio":
            return await self._sound(ask, part, media[0])
        return await self._frames(ask, part, media)

    async def _frames(self, ask: Ask, part: WirePart, frames: tuple[bytes, ...]) -> Finding:
        def decoder(frame: bytes) -> Callable[[], decoded.Picture]:
            return lambda: decoded.picture(frame, part.encoding or "", MAX_PIXELS)

        run = asyncio.get_running_loop().run_in_executor
        looks = await run(self._media_threads, self._images.look, [decoder(frame) for frame in frames], ask.check)
        times: tuple[float | None, ...] = part.frame_times or (None,) * len(frames)
        findings = [evident("sexual_content", look.nsfw, "frame", at, None) for look, at in zip(looks, times, strict=True)]
        for text, at in _first_seen([look.text for look in looks], times):
            findings.append(words("ocr", await self._score(text), at))
        return Finding.merged(findings, table.assessed(part.modality))

    async def _sound(self, ask: Ask, part: WirePart, clip: bytes) -> Finding:
        def listen() -> Speech:
            ask.check()
            samples = decoded.sound(clip, part.encoding or "", part.sample_rate or decoded.SAMPLE_RATE, MAX_SECONDS)
            return self._voice.listen(samples)

        speech = await asyncio.get_running_loop().run_in_executor(self._media_threads, listen)
        if not speech.sentences:  # nobody speaks: nothing is measured, so nothing is vouched for
            return Finding()
        score = await self._score(speech.text)
        vouched = table.assessed("audio") if speech.english and score.english >= ENGLISH else frozenset()
        findings = []
        for category, value in score.categories.items():
            start, end = (second + (part.t0 or 0.0) for second in speech.between(*score.spans[category]))
            findings.append(evident(category, value, "speech", start, end))
        return Finding.merged(findings, vouched)

    async def _score(self, text: str) -> TextScore:
        scores = await asyncio.get_running_loop().run_in_executor(self._text_threads, self.texts.score, [text])
        return scores[0]


def _first_seen(texts: Sequence[str], times: Sequence[float | None]) -> list[tuple[str, float | None]]:
    """Each text once, at the frame that showed it first; no empty ones."""
    seen: dict[str, float | None] = {}
    for text, time in zip(texts, times, strict=True):
        if text:
            seen.setdefault(text, time)
    return list(seen.items())


def _key(tenant: str, part: WirePart, media: tuple[bytes, ...]) -> bytes:
    """Of all that a finding depends on, and of the tenant; the part's id and role do not matter."""
    plain = (tenant, part.modality, part.encoding, part.sample_rate, part.frame_times, part.t0, part.text)
    digest = hashlib.sha256(repr(plain).encode())
    for element in media:
        digest.update(hashlib.sha256(element).digest())
    return digest.digest()
