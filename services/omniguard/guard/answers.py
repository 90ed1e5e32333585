"""An engine's answer to one request with what the service adds for every engine: the test trigger, numbers and timings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from concurrent.futures import Executor
from contextlib import aclosing

from omniguard.domain.taxonomy import TEST
from omniguard.guard import trigger
from omniguard.guard.engine import Ask, Engine
from omniguard.guard.wire import (
    Capabilities,
    CategoriesEvent,
    CritiqueEvent,
    LabelEvent,
    Mode,
    WireEvidence,
    WireNamed,
)

__all__ = ["Answer", "answer", "vouching_for_test"]

Answer = LabelEvent | CategoriesEvent | CritiqueEvent
_WORDS = {
    "test_phrase": "the text holds the operator's test phrase",
    "test_picture": "a frame shows the operator's test picture",
    "test_tone": "the sound holds the operator's test tone",
}


async def answer(engine: Engine, ask: Ask, threads: Executor) -> AsyncIterator[Answer]:
    """Every event for a label or critique request, numbered; the last is final. The trigger is looked for first, in `threads`.

    Raises:
        Refusal: from decoding the media, or from the engine.

    """
    hits = await _triggered(ask, engine.capabilities(), threads)
    source: AsyncGenerator[Answer, None] = (
        _label(engine, ask, hits) if ask.request.mode is Mode.LABEL else _critique(engine, ask, hits)
    )
    async with aclosing(source) as events:
        sequence = 0
        async for event in events:
            yield event.model_copy(update={"sequence": sequence})
            sequence += 1


def vouching_for_test(assessed: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """`assessed` with the category `test`, which is looked for in every input."""
    return {modality: (*(c for c in categories if c != TEST), TEST) for modality, categories in assessed.items()}


async def _triggered(ask: Ask, can: Capabilities, threads: Executor) -> tuple[WireEvidence, ...]:
    def search() -> tuple[WireEvidence, ...]:
        found: list[WireEvidence] = []
        for part in ask.request.parts:
            ask.check()
            found += trigger.find(part, ask.media[slice(*(part.media or (0, 0)))], can.max_pixels, can.max_audio_seconds)
        return tuple(found)

    if not ask.media:
        return search()  # text alone takes microseconds
    return await asyncio.get_running_loop().run_in_executor(threads, search)


async def _label(engine: Engine, ask: Ask, hits: tuple[WireEvidence, ...]) -> AsyncGenerator[LabelEvent | CategoriesEvent, None]:
    test = WireNamed(name=TEST, confidence=1.0)
    async with aclosing(engine.label(ask)) as events:
        async for event in events:
            if isinstance(event, LabelEvent):
                event = event.model_copy(
                    update={"assessed": vouching_for_test(event.assessed), "digest": engine.capabilities().digest}
                )
            if not hits:
                yield event
            elif isinstance(event, CategoriesEvent):
                yield event.model_copy(update={"categories": (test, *event.categories)})
            else:
                yield event.model_copy(
                    update={"label": "unsafe", "unsafe": 1.0, "final": False, "evidence": (*hits, *event.evidence)}
                )
                if event.final:
                    yield CategoriesEvent(categories=(test,), usage=event.usage)


async def _critique(engine: Engine, ask: Ask, hits: tuple[WireEvidence, ...]) -> AsyncGenerator[CritiqueEvent, None]:
    if hits:
        found = "; ".join(sorted({_WORDS[hit.kind] for hit in hits}))
        yield CritiqueEvent(text=f"This is a test: {found}. ", final=False)
    async with aclosing(engine.critique(ask)) as events:
        async for event in events:
            yield event
