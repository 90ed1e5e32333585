"""Puts files through the decoder process and notes what became of each."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from hostile_media.case import MARKER, Case, Outcome
from media_files.reading import level
from omniguard.domain.content import FetchedPart, MediaInfo, Modality, Part, Segment
from omniguard.domain.deadline import NEVER
from omniguard.domain.plan import ChunkPlan
from omniguard.errors import BadContent
from omniguard.ports import Decoder

_SLACK = 0.35
"""Seconds by which encoders and containers round the length of a file."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a file. `end` is where its last segment ends, `took` seconds of this machine."""

    case: Case
    outcome: str
    message: str
    info: MediaInfo | None
    segments: int
    end: float
    took: float
    wrong: tuple[str, ...]


async def results(decoder: Decoder, cases: Iterable[Case], folder: Path) -> AsyncIterator[Result]:
    """Decode the files one by one."""
    path = folder / "hostile"
    for case in cases:
        path.write_bytes(case.data)
        yield await _result(decoder, case, path)


async def _result(decoder: Decoder, case: Case, path: Path) -> Result:
    part = FetchedPart(Part("p7", Modality.VIDEO), "0" * 64, len(case.data), "application/octet-stream", path)
    found: list[Segment] = []
    info, outcome, message, named = None, Outcome.EXAMINED.value, "", True
    begun = time.monotonic()
    try:
        info = await decoder.probe(part, NEVER)
        async with aclosing(decoder.segments(part, info, ChunkPlan(), NEVER)) as segments:
            async for segment in segments:
                found.append(segment)  # noqa: PERF401 - what came before a refusal counts as well
    except BadContent as error:
        outcome, message, named = error.reason.value, str(error), error.part == part.id
    took = time.monotonic() - begun
    end = max((segment.t1 or 0.0 for segment in found), default=0.0)
    unnamed = () if named else ("the refusal does not name its part",)
    return Result(
        case, outcome, message, info, len(found), end, took, (*unnamed, *_wrong(case, outcome, message, info, found, end))
    )


def _wrong(case: Case, outcome: str, message: str, info: MediaInfo | None, found: list[Segment], end: float) -> Iterable[str]:
    """What is not as it must be, in words."""
    if outcome not in case.expect:
        yield f"it is {outcome} ({message}), expected {' or '.join(sorted(case.expect))}"
    if outcome == Outcome.EXAMINED:
        if not found:
            yield "nothing was examined, and nobody was told"
        if case.seconds is not None and abs(end - case.seconds) > _SLACK:
            yield f"{end:.2f} s were examined, expected {case.seconds:.2f}"
        if info is not None and info.seconds is not None and info.seconds - end > max(_SLACK, 0.02 * info.seconds):
            yield f"{end:.2f} s were examined of {info.seconds:.2f} that are stated, and nobody was told"
    elif not ("expected" in message or "send" in message or "convert" in message or "split" in message):
        yield f"the reason does not say what to do: {message}"
    if MARKER.lower() in message.lower() or "hostile" in message.replace("may be hostile", ""):
        yield f"the reason quotes the file: {message}"
    if len(message) > 300 or not message.isprintable():
        yield f"the reason is no plain sentence: {message!r}"
    if case.told:
        yield from _made_up(found)


def _made_up(found: list[Segment]) -> Iterable[str]:
    """A picture of another second than it is said to show; a window that goes on where no picture was decoded."""
    for segment in found:
        for frame in segment.frames:
            shown = round((level(frame.data) - 20) / 8)
            if not int(frame.time - _SLACK) <= shown <= int(frame.time + _SLACK):
                yield f"the picture at {frame.time:.2f} s is that of second {shown}"
