"""Media for measuring what a label and a second of decoding cost: a photograph, speech, a film in 720p; never twice the same."""

from __future__ import annotations

import io
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path

import av
import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image

from omniguard.adapters.decoder import ProcessDecoder
from omniguard.contracts.policy_file import shipped_policy
from omniguard.domain.content import FetchedPart, Frame, Modality, Part, Segment, Sound
from omniguard.domain.deadline import NEVER
from omniguard.domain.plan import ChunkPlan
from omniguard.guard.wire import GuardRequest, Mode
from omniguard.stages.examine import wire_categories
from omniguard.stages.judge import wire_parts

__all__ = ["Request", "asks", "decoding_seconds"]

MEDIA = Path("services/omniguard/samples/media")
PICTURE = (1280, 960)
FILM = (1280, 720)
FILM_SECONDS = 12
FILM_RATE = 25
CAPTION = "look at what happened at the lake today, we had such a good time with everybody"
Request = tuple[GuardRequest, list[bytes]]


async def decoding_seconds(rounds: int = 6) -> dict[str, float]:
    """CPU seconds of the worker and its decoders for a picture, a second of sound and a second of film."""
    with tempfile.TemporaryDirectory(prefix="omniguard-samples-") as name:
        folder = Path(name)
        async with ProcessDecoder(processes=1, folder=folder) as decoder:
            found = {}
            for coefficient, path, modality, per in _media(folder):
                part = FetchedPart(Part("p", modality), "0" * 64, path.stat().st_size, "application/octet-stream", path)
                await _segments(decoder, part)  # the first one pays for imports
                before = _cpu(decoder)
                for _ in range(rounds):
                    await _segments(decoder, part)
                found[coefficient] = (_cpu(decoder) - before) / rounds / per
    return found


def asks(count: int) -> dict[str, Sequence[Request]]:
    """`count` requests for each coefficient of the guard, made ahead; media differ, so that no cache of a guard helps."""
    return {kind: [make(number) for number in range(count)] for kind, make in _kinds().items()}


def _kinds() -> dict[str, Callable[[int], Request]]:
    plan, sound = ChunkPlan(), _speech()
    frames = [_jpeg(picture) for picture in itertools.islice(_pictures(FILM, every=FILM_RATE), int(plan.window_seconds))]
    clip = sound[: int(plan.window_seconds * plan.sample_rate)]

    def text(number: int) -> Request:
        return _label(Segment("p", 0, Modality.TEXT, text=f"{CAPTION}, number {number}"), "")

    def image(number: int) -> Request:
        return _label(Segment("p", 0, Modality.IMAGE, frames=(Frame(_marked(frames[0], number)),)), CAPTION)

    def audio(number: int) -> Request:
        return _label(Segment("p", 0, Modality.AUDIO, t0=0.0, t1=plan.window_seconds, sound=_noisy(clip, number)), CAPTION)

    def video(number: int) -> Request:
        shown = tuple(Frame(_marked(frame, number), float(at)) for at, frame in enumerate(frames))
        segment = Segment("p", 0, Modality.VIDEO, t0=0.0, t1=plan.window_seconds, frames=shown, sound=_noisy(clip, number))
        return _label(segment, CAPTION)

    def critique(number: int) -> Request:
        request, media = text(number)
        return request.model_copy(update={"mode": Mode.CRITIQUE, "label": "unsafe", "categories": ("hate",)}), media

    return {"label_text": text, "label_image": image, "label_audio": audio, "label_video": video, "critique": critique}


def _label(segment: Segment, caption: str) -> Request:
    parts, media = wire_parts(segment, segment.media, caption)
    categories = wire_categories(shipped_policy("default"))
    return GuardRequest(mode=Mode.LABEL, tenant="load", policy=categories, parts=parts), media


def _media(folder: Path) -> Iterator[tuple[str, Path, Modality, float]]:
    picture = folder / "picture.jpg"
    picture.write_bytes(_jpeg(next(_pictures(PICTURE))))
    speech = folder / "speech.ogg"
    speech.write_bytes((MEDIA / "harmless-speech.ogg").read_bytes())
    yield "worker_image", picture, Modality.IMAGE, 1.0
    yield "worker_audio_second", speech, Modality.AUDIO, len(_speech()) / 16_000
    yield "worker_video_second", _film(folder / "film.mp4"), Modality.VIDEO, FILM_SECONDS


async def _segments(decoder: ProcessDecoder, part: FetchedPart) -> None:
    info = await decoder.probe(part, NEVER)
    async with aclosing(decoder.segments(part, info, ChunkPlan(), NEVER)) as segments:
        async for _ in segments:
            pass


def _cpu(decoder: ProcessDecoder) -> float:
    spent = time.process_time()
    for pid in decoder.pids:
        used = psutil.Process(pid).cpu_times()
        spent += used.user + used.system
    return spent


def _pictures(size: tuple[int, int], every: int = 1) -> Iterator[NDArray[np.uint8]]:
    """The photograph, moved by a few pixels from picture to picture."""
    photo = np.asarray(Image.open(MEDIA / "photo.jpg").convert("RGB").resize(size))
    for number in itertools.count():
        yield np.roll(photo, 3 * number * every, axis=1)


def _film(path: Path) -> Path:
    if path.exists():
        return path
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FILM_RATE)
        video.width, video.height, video.pix_fmt = *FILM, "yuv420p"
        audio = container.add_stream("aac", rate=16_000)
        for picture in itertools.islice(_pictures(FILM), FILM_SECONDS * FILM_RATE):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        spoken = np.resize(_speech(), FILM_SECONDS * 16_000)
        frame = av.AudioFrame.from_ndarray(spoken[None, :], format="s16", layout="mono")
        frame.sample_rate = 16_000
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    return path


def _speech() -> NDArray[np.int16]:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
    with av.open(str(MEDIA / "harmless-speech.ogg")) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    """As a frame goes to the guard: at most `max_pixels`."""
    image = Image.fromarray(picture)
    shrink = min(1.0, (ChunkPlan().max_pixels / (image.width * image.height)) ** 0.5)
    out = io.BytesIO()
    image.resize((int(image.width * shrink), int(image.height * shrink))).save(out, "JPEG", quality=ChunkPlan().jpeg_quality)
    return out.getvalue()


def _marked(jpeg: bytes, number: int) -> bytes:
    """The same picture with a few pixels of its own."""
    image = Image.open(io.BytesIO(jpeg)).convert("RGB")
    image.paste((number % 256, number // 256 % 256, 128), (0, 0, 16, 16))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def _noisy(clip: NDArray[np.int16], number: int) -> Sound:
    noise = np.random.default_rng(number).integers(-8, 8, len(clip), dtype=np.int16)
    return Sound((clip + noise).astype("<i2").tobytes())
