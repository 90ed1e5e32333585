"""A phrase, a picture and a tone of our own that every engine reports as category `test`, so that the whole path can be proved.

Nothing else raises that category, and none of the three resembles anything that people upload.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence

import numpy as np
from PIL import Image

from omniguard.domain.taxonomy import TEST, holds_test_phrase
from omniguard.guard.decoded import SAMPLE_RATE, Floats, sound, thumbnail
from omniguard.guard.wire import WireEvidence, WirePart

__all__ = ["find", "heard", "make_picture", "make_tone", "seen"]

_CELLS = 16
_SIDE = 4 * _CELLS
_SEEN = 0.6
"""Correlation from which a frame is our picture. Photographs and noise stay below 0.25 (tested); a JPEG of it is over 0.95."""

_BURST = 0.16
"""Seconds a burst and the pause after it last."""
_SOUNDING = 0.12
_FRAME = 640
_HOP = 320
_LOW = (655.0, 795.0, 965.0)
_HIGH = (1415.0, 1715.0, 2085.0)
_SEQUENCE = (0, 5, 7, 2, 3, 8, 1, 6)
"""Nine symbols (low tone x 3 + high tone); eight bursts say them in this order. None is a telephone's tone pair."""
_PURE = 0.6
"""Share of a frame's energy that the two tones must hold."""
_HEARD = 0.8
"""Share of the sequence's frames that must be right."""


def find(part: WirePart, media: Sequence[bytes], max_pixels: int, max_seconds: float) -> tuple[WireEvidence, ...]:
    """Where the part (with its own elements of MEDIA) is or holds the phrase, the picture or the tone; empty if it does not.

    Raises:
        Refusal: invalid_request, if the media cannot be decoded.

    """
    encoding = part.encoding or ""
    if part.modality == "text":
        return (_evidence("test_phrase"),) if holds_test_phrase(part.text or "") else ()
    if part.modality == "audio":
        clip = sound(media[0], encoding, part.sample_rate or SAMPLE_RATE, max_seconds)
        return (_evidence("test_tone", part.t0, part.t1),) if heard(clip) else ()
    hits = [seen(thumbnail(frame, encoding, max_pixels, _SIDE)) for frame in media]
    times = part.frame_times or [None] * len(media)
    return tuple(_evidence("test_picture", time) for time, hit in zip(times, hits, strict=True) if hit)


def _evidence(kind: str, start: float | None = None, end: float | None = None) -> WireEvidence:
    return WireEvidence(kind=kind, start=start, end=end, category=TEST, score=1.0)


def seen(grey: Floats) -> bool:
    """True if a float32 [64, 64] thumbnail correlates with the picture."""
    frame = grey - grey.mean()
    size = float(np.linalg.norm(frame))
    if size < 1.0:  # a blank frame
        return False
    return float((frame * _TEMPLATE).sum()) / size > _SEEN


def heard(samples: Floats) -> bool:
    """True if float32 [samples] at 16 kHz holds one whole run of the bursts.

    Measures the energy at the six tones in frames of 40 ms (Goertzel's bins, all at once as one product of matrices) and slides
    the expected run of symbols over the frames.
    """
    symbols = _symbols(samples)
    expected = _expected()
    if len(symbols) < len(expected):
        return False
    sounding = expected >= 0
    windows = np.lib.stride_tricks.sliding_window_view(symbols, len(expected))
    right = (windows[:, sounding] == expected[sounding]).mean(axis=1)
    return bool(right.max() >= _HEARD)


def make_picture(side: int = 448) -> bytes:
    """The picture as a PNG of `side` pixels, a multiple of 16."""
    cells = np.where(_pattern() > 0, 235, 20).astype(np.uint8)
    grey = np.kron(cells, np.ones((side // _CELLS, side // _CELLS), np.uint8))
    out = io.BytesIO()
    Image.fromarray(np.stack([grey, grey, grey // 2 + 60], axis=-1)).save(out, "PNG")
    return out.getvalue()


def make_tone(repeats: int = 3) -> bytes:
    """The tone as a WAV file: PCM16, mono, 16 kHz; a few repeats, so that one is whole wherever a window is cut."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((np.tile(_run(), repeats) * 32_767).astype("<i2").tobytes())
    return out.getvalue()


def _pattern() -> Floats:
    """+1 and -1, float32 [16, 16], half of each; fixed by the seed of a legacy generator, whose stream never changes."""
    cells = np.repeat([1.0, -1.0], _CELLS * _CELLS // 2)
    np.random.RandomState(20_251_202).shuffle(cells)
    return cells.reshape(_CELLS, _CELLS).astype(np.float32)


def _template() -> Floats:
    wide = np.kron(_pattern(), np.ones((_SIDE // _CELLS, _SIDE // _CELLS), np.float32))
    out: Floats = wide / np.float32(np.linalg.norm(wide))
    return out


_TEMPLATE = _template()


def _tones(symbol: int) -> tuple[float, float]:
    return _LOW[symbol // 3], _HIGH[symbol % 3]


def _run() -> Floats:
    """One run of the sequence, float32 at 16 kHz, each burst with soft edges."""
    at = np.arange(round(_SOUNDING * SAMPLE_RATE)) / SAMPLE_RATE
    edge = np.minimum(1.0, np.minimum(at, at[::-1]) / 0.01)
    pause = np.zeros(round((_BURST - _SOUNDING) * SAMPLE_RATE))
    bursts = []
    for symbol in _SEQUENCE:
        low, high = _tones(symbol)
        bursts += [0.35 * edge * (np.sin(2 * np.pi * low * at) + np.sin(2 * np.pi * high * at)), pause]
    out: Floats = np.concatenate(bursts).astype(np.float32)
    return out


def _symbols(samples: Floats) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The symbol of each frame, -1 for none: int64 [frames]."""
    if len(samples) < _FRAME:
        return np.empty(0, np.int64)
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FRAME)[::_HOP]
    window = np.hanning(_FRAME).astype(np.float32)
    at = np.arange(_FRAME) / SAMPLE_RATE
    waves = np.exp(-2j * np.pi * np.outer(at, (*_LOW, *_HIGH))).astype(np.complex64) * window[:, None]
    power = np.abs(frames @ waves) ** 2
    # A pure tone of amplitude a has power (a * sum(window) / 2)**2 here and energy a**2 * sum(window**2) / 2 in the frame.
    energy = ((frames * window) ** 2).sum(axis=1) * window.sum() ** 2 / (2 * (window**2).sum())
    low, high = power[:, :3], power[:, 3:]
    both = low.max(axis=1) + high.max(axis=1)
    ratio = low.max(axis=1) / np.maximum(high.max(axis=1), 1e-12)
    clear = (energy > 1e-4) & (both > _PURE * energy) & (ratio > 0.1) & (ratio < 10.0)
    return np.where(clear, low.argmax(axis=1) * 3 + high.argmax(axis=1), -1)


def _expected() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The symbol of each frame of one run whose start falls on a frame; -1 where a frame touches a pause."""
    symbols = []
    for start in range(0, round(len(_SEQUENCE) * _BURST * SAMPLE_RATE) - _FRAME + 1, _HOP):
        burst, into = divmod(start / SAMPLE_RATE, _BURST)
        whole = into + (_FRAME / SAMPLE_RATE) <= _SOUNDING + _HOP / SAMPLE_RATE / 2
        symbols.append(_SEQUENCE[int(burst)] if whole else -1)
    return np.asarray(symbols, np.int64)
