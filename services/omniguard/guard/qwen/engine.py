"""The engine of every Qwen2.5 guard: label, categories and critique over whatever runner computes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

from omniguard.errors import Misconfigured
from omniguard.guard.engine import Ask
from omniguard.guard.profiles.files import profile_for
from omniguard.guard.profiles.profile import Profile
from omniguard.guard.qwen.checkpoint import Checkpoint
from omniguard.guard.qwen.events import Tools
from omniguard.guard.qwen.labelled import LabelFirst
from omniguard.guard.qwen.prompts import Asked, Prompter
from omniguard.guard.qwen.reasoned import ReasoningFirst
from omniguard.guard.qwen.runner import Runner
from omniguard.guard.qwen.settings import QwenSettings
from omniguard.guard.wire import Capabilities, CategoriesEvent, CritiqueEvent, GuardRequest, LabelEvent, Mode

__all__ = ["QwenEngine", "load"]

VERSION = "qwen-1"
"""Part of the model digest: raise it with any change to prompts, media or parsing that can move a score."""


def load(parameters: Mapping[str, str], runner: Callable[[Checkpoint], Runner]) -> QwenEngine:
    """The engine that `parameters` describe, on the runner that is made for its checkpoint.

    Raises:
        Misconfigured: a parameter, the checkpoint or its profile is wrong, or the runner cannot load it.

    """
    settings = QwenSettings.parse(parameters)
    checkpoint = Checkpoint(settings.model)
    profile = profile_for(settings.model, settings.profile)
    made = runner(checkpoint)
    try:
        return QwenEngine(profile, checkpoint, made, settings)
    except BaseException:
        made.close()  # its threads and processes would outlive the failure
        raise


class QwenEngine:
    """Judges with one checkpoint as its profile prescribes.

    Raises:
        Misconfigured: profile and tokenizer do not belong together, or a setting does not fit the checkpoint.

    """

    def __init__(self, profile: Profile, checkpoint: Checkpoint, runner: Runner, settings: QwenSettings) -> None:
        self._settings = settings
        self._runner = runner
        self._can = _capabilities(profile, checkpoint, runner, settings)
        can = self._can
        self.prompter = Prompter(
            profile, checkpoint, max_pixels=can.max_pixels, max_seconds=can.max_audio_seconds, placement=settings.placement
        )
        tools = Tools(profile, checkpoint, runner, self.prompter)
        self._way = LabelFirst(tools) if profile.label_first else ReasoningFirst(tools)
        self._threads = ThreadPoolExecutor(settings.media_workers, "qwen-media")

    @property
    def lanes(self) -> Mapping[str, int]:
        """Labels never wait for critiques here; inside the runner they go first."""
        return {"label": self._settings.label_slots, "critique": self._settings.critique_slots}

    def lane(self, request: GuardRequest) -> str:
        """By what is asked."""
        return "critique" if request.mode is Mode.CRITIQUE else "label"

    def capabilities(self) -> Capabilities:
        """What checkpoint, profile and settings allow together."""
        return self._can

    async def label(self, ask: Ask) -> AsyncGenerator[LabelEvent | CategoriesEvent, None]:
        """The label by its log-probabilities; categories if it reaches the threshold."""
        async with aclosing(self._way.label(ask, await self._prepare(ask))) as events:
            async for event in events:
                yield event

    async def critique(self, ask: Ask) -> AsyncGenerator[CritiqueEvent, None]:
        """Continues from the published label and categories; a checkpoint that reasons first gives its reasoning."""
        async with aclosing(self._way.critique(ask, await self._prepare(ask))) as events:
            async for event in events:
                yield event

    def close(self) -> None:
        """Free the model and the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._runner.close()

    async def _prepare(self, ask: Ask) -> Asked:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.prompter.prepare, ask)


def _capabilities(profile: Profile, checkpoint: Checkpoint, runner: Runner, settings: QwenSettings) -> Capabilities:
    limits = checkpoint.limits
    most = min(settings.max_pixels, limits.image_pixels[1], limits.frame_pixels[1])
    if "video" in profile.modalities and most < limits.frame_pixels[0]:
        raise Misconfigured(
            f"parameter max_pixels: found {most}, expected at least {limits.frame_pixels[0]}, to which the checkpoint's "
            "processor would enlarge every smaller video frame; raise it in config.pbtxt"
        )
    parts = (
        VERSION,
        checkpoint.digest,
        profile.digest,
        runner.engine,
        repr(limits),
        repr(settings.placement),
        str(settings.max_pixels),
    )
    return Capabilities(
        engine=runner.engine,
        digest=hashlib.sha256("\n".join(parts).encode()).hexdigest(),
        label_first=profile.label_first,
        modalities=profile.modalities,
        assessed={modality: tuple(profile.assessed.get(modality, ())) for modality in profile.modalities},
        max_text_chars=settings.max_text_chars,
        max_frames=settings.max_frames,
        max_pixels=most,
        grid=limits.grid,
        max_audio_seconds=limits.audio_seconds,
        max_in_flight=settings.max_in_flight,
        at_once=runner.at_once,
    )
