"""The test phrase, picture and tone: always found, whatever transport does to them; never found in anything else."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest
from PIL import Image

from guard_samples import PHOTOGRAPHS, jpeg, pcm16, photograph, speech, writing
from omniguard.domain.taxonomy import TEST_PHRASE, holds_test_phrase
from omniguard.guard import trigger
from omniguard.guard.decoded import Floats, sound, thumbnail
from omniguard.guard.wire import WirePart

PIXELS = 602_112


def thumb(data: bytes, encoding: str = "jpeg") -> Floats:
    return thumbnail(data, encoding, PIXELS, 64)


def tone() -> Floats:
    with wave.open(io.BytesIO(trigger.make_tone())) as file:
        return sound(file.readframes(file.getnframes()), "pcm16", file.getframerate(), 30.0)


@pytest.mark.parametrize(
    "text",
    [
        TEST_PHRASE,
        TEST_PHRASE.lower(),
        f"before {TEST_PHRASE} after",
        TEST_PHRASE.replace("-", " "),
        TEST_PHRASE.replace("-", ",\n"),
    ],
)
def test_the_phrase_is_read_in_any_case_and_spacing(text: str) -> None:
    assert holds_test_phrase(text)


@pytest.mark.parametrize("text", ["", "omniguard", "OMNIGUARD-STANDARD-TEST-PHRASE", TEST_PHRASE[:-1], "standard test phrase"])
def test_part_of_the_phrase_is_not_the_phrase(text: str) -> None:
    assert not holds_test_phrase(text)


@pytest.mark.parametrize("size", [(64, 64), (112, 224), (448, 448), (768, 560)])
@pytest.mark.parametrize("quality", [25, 90])
def test_the_picture_survives_resizing_and_jpeg(size: tuple[int, int], quality: int) -> None:
    picture = Image.open(io.BytesIO(trigger.make_picture())).resize(size, Image.Resampling.LANCZOS)
    assert trigger.seen(thumb(jpeg(picture, quality)))


def test_the_picture_survives_noise_a_thin_frame_and_dimming() -> None:
    picture = np.asarray(Image.open(io.BytesIO(trigger.make_picture())), np.float32) * 0.5
    noisy = np.clip(picture + np.random.default_rng(1).normal(40, 30, picture.shape), 0, 255).astype(np.uint8)
    assert trigger.seen(thumb(jpeg(noisy)))
    framed = Image.new("RGB", (464, 464))
    framed.paste(Image.open(io.BytesIO(trigger.make_picture())), (8, 8))
    assert trigger.seen(thumb(jpeg(framed)))


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_no_photograph_is_the_picture(name: str) -> None:
    picture = photograph(name)
    for turned in (picture, picture[::-1], 255 - picture, np.rot90(picture)):
        assert not trigger.seen(thumb(jpeg(np.ascontiguousarray(turned))))


def test_neither_blank_frames_nor_noise_nor_patterns_are_the_picture() -> None:
    rng = np.random.default_rng(2)
    frames = [np.full((200, 200, 3), shade, np.uint8) for shade in (0, 127, 255)]
    frames += [np.kron(rng.integers(0, 2, (n, n)), np.ones((448 // n, 448 // n))).astype(np.uint8) * 255 for n in (8, 16, 32)]
    frames += [np.kron(rng.integers(0, 2, (16, 16)), np.ones((28, 28))).astype(np.uint8) * 255 for _ in range(200)]
    assert not any(trigger.seen(thumb(jpeg(frame))) for frame in frames)
    assert not trigger.seen(thumb(writing()))


def test_the_tone_is_heard() -> None:
    assert trigger.heard(tone())


@pytest.mark.parametrize("shift", [0, 1, 37, 160, 319])
def test_the_tone_is_heard_wherever_frames_begin(shift: int) -> None:
    assert trigger.heard(np.concatenate([np.zeros(shift, np.float32), tone()]))


def test_one_whole_run_is_enough_wherever_a_window_is_cut() -> None:
    whole = tone()
    run = len(whole) // 3
    for start in range(0, run + 1, 1600):
        assert trigger.heard(whole[start : start + 2 * run])


@pytest.mark.parametrize("loudness", [0.05, 0.3, 1.0])
def test_the_tone_survives_loudness_noise_and_8_khz(loudness: float) -> None:
    played = tone() * loudness
    hiss = np.random.default_rng(3).normal(0, 0.02 * loudness, len(played)).astype(np.float32)
    assert trigger.heard(played + hiss)
    assert trigger.heard(sound(pcm16(played[::2]), "pcm16", 8_000, 30.0))


@pytest.mark.parametrize("name", ["harmless", "harmful", "german"])
def test_speech_is_not_the_tone(name: str) -> None:
    assert not trigger.heard(speech(name))


def test_neither_silence_nor_noise_nor_music_like_tones_are_the_tone() -> None:
    rng = np.random.default_rng(4)
    at = np.arange(10 * 16_000) / 16_000
    clips = [np.zeros(16_000), np.zeros(10), rng.normal(0, 0.3, 160_000), np.sin(2 * np.pi * 795 * at)]
    clips.append(np.sin(2 * np.pi * (400 + 150 * at) * at))  # a sweep through all of the bands
    notes = rng.choice([655.0, 795.0, 965.0, 1415.0, 1715.0, 2085.0], (60, 2))
    chords = [sum(np.sin(2 * np.pi * f * at[:2560]) for f in pair) * 0.4 for pair in notes]
    clips.append(np.concatenate(chords))  # our own tones in an order of their own
    assert not any(trigger.heard(clip.astype(np.float32)) for clip in clips)


def test_half_of_the_sequence_is_not_the_tone() -> None:
    run = tone()[: len(tone()) // 3]
    assert not trigger.heard(run[: len(run) // 2])
    assert not trigger.heard(run[::-1].copy())


def test_a_part_tells_where_it_was_found() -> None:
    frames = (jpeg(photograph()), trigger.make_picture())
    video = WirePart(id="v", modality="video", media=(0, 2), encoding="png", frame_times=(4.0, 5.0))
    (found,) = trigger.find(video, (png(photograph()), frames[1]), PIXELS, 30.0)
    assert (found.kind, found.start, found.category, found.score) == ("test_picture", 5.0, "test", 1.0)
    clip = WirePart(id="a", modality="audio", media=(0, 1), encoding="pcm16", sample_rate=16_000, t0=6.0, t1=10.0)
    (found,) = trigger.find(clip, (pcm16(tone()),), PIXELS, 30.0)
    assert (found.kind, found.start, found.end) == ("test_tone", 6.0, 10.0)
    assert trigger.find(WirePart(id="t", modality="text", text="nothing"), (), PIXELS, 30.0) == ()


def png(picture: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()
