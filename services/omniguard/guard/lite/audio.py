"""Sound into words: voice activity first, then speech to text only where somebody speaks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import onnxruntime

from omniguard.guard import assets
from omniguard.guard.decoded import SAMPLE_RATE, Floats

__all__ = ["SPEECH_MODELS", "VERSION", "Sentence", "Speech", "Voice", "speech_spans"]

VERSION = f"audio-1 faster-whisper-{version('faster-whisper')}"
"""Part of the model digest: raise the number with any change here that can move a score."""
SPEECH_MODELS = {"base": assets.WHISPER_BASE, "tiny.en": assets.WHISPER_TINY_EN}

_CHUNK, _BEFORE = 512, 64
_STARTS, _STOPS = 0.5, 0.35
_SHORTEST = 0.25
_JOIN = 0.4
"""Seconds of silence that do not end a span."""
_PAD = 0.2
_SURE_LANGUAGE = 0.7
_SURE_WORDS = -0.8
"""Mean log-probability of a token from which a transcript counts as understood."""

_REPEATING = 2.4
"""Compression ratio over which a transcript is a loop, not speech."""

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words spoken from `start` to `end`, seconds in the clip."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Speech:
    """What was said. `english` is True only where the model is sure of language and words."""

    sentences: tuple[Sentence, ...] = ()
    english: bool = False

    @property
    def text(self) -> str:
        """All sentences, one space between."""
        return " ".join(s.text for s in self.sentences)

    def between(self, start: int, end: int) -> Span:
        """Seconds of the sentences that characters [start, end) of `text` touch."""
        touched = []
        at = 0
        for sentence in self.sentences:
            if at < end and start < at + len(sentence.text):
                touched.append(sentence)
            at += len(sentence.text) + 1
        return (touched[0].start, touched[-1].end) if touched else (self.sentences[0].start, self.sentences[-1].end)


class Voice:
    """Silero's voice activity detector and Whisper. One instance serves several threads.

    Raises:
        Misconfigured: a model's files cannot be had.

    """

    def __init__(self, *, model: str = "base", threads: int = 1, workers: int = 1) -> None:
        from faster_whisper import WhisperModel

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._vad = onnxruntime.InferenceSession(str(assets.path(assets.SILERO_VAD)), options, providers=["CPUExecutionProvider"])
        folder = assets.path(SPEECH_MODELS[model])
        self._whisper: Any = WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=threads, num_workers=workers
        )
        self._whisper.encode = _Once(self._whisper.encode)
        self._knows_languages: bool = self._whisper.model.is_multilingual

    def listen(self, samples: Floats) -> Speech:
        """Transcribe float32 [samples] at 16 kHz, at most 30 s: one pass whatever the number of spans."""
        spans = speech_spans(self.activity(samples))
        if not spans:
            return Speech()
        clip = _keep(samples, spans)
        language, probability = self._language(clip)
        segments = list(
            self._whisper.transcribe(
                clip,
                language=language,
                beam_size=1,
                temperature=0.0,  # no second try by sampling: the same clip must give the same words
                condition_on_previous_text=False,
            )[0]
        )
        sentences = tuple(Sentence(s.text.strip(), float(s.start), float(s.end)) for s in segments if s.text.strip())
        clear = all(s.avg_logprob >= _SURE_WORDS and s.compression_ratio <= _REPEATING for s in segments)
        return Speech(sentences, english=bool(sentences) and language == "en" and probability >= _SURE_LANGUAGE and clear)

    def _language(self, clip: Floats) -> tuple[str, float]:
        """The likeliest language and its probability; a model that knows English alone is never sure of it."""
        if not self._knows_languages:
            return "en", 0.0
        features = self._whisper.feature_extractor(clip)[:, :-1]  # as `transcribe` cuts it, so that one encoding serves both
        language, probability, _ = self._whisper.detect_language(features=features)
        return str(language), float(probability)

    def activity(self, samples: Floats) -> Floats:
        """How surely somebody speaks, float32 [chunks of 32 ms]."""
        padded = np.concatenate([np.zeros(_BEFORE, np.float32), samples, np.zeros(-len(samples) % _CHUNK, np.float32)])
        state = np.zeros((2, 1, 128), np.float32)
        rate = np.array(SAMPLE_RATE, np.int64)
        out = np.empty((len(padded) - _BEFORE) // _CHUNK, np.float32)
        for i in range(len(out)):
            window = padded[None, i * _CHUNK : (i + 1) * _CHUNK + _BEFORE]
            probability, state = self._vad.run(None, {"input": window, "state": state, "sr": rate})
            out[i] = probability[0, 0]
        return out


class _Once:
    """Encodes features once where a thread asks twice in a row: the dearest step, and both language and words need it."""

    def __init__(self, encode: Callable[[Floats], Any]) -> None:
        self._encode = encode
        self._last = threading.local()

    def __call__(self, features: Floats) -> Any:
        if not np.array_equal(getattr(self._last, "features", ()), features):
            self._last.encoded = self._encode(features)
            self._last.features = features
        return self._last.encoded


def speech_spans(activity: Floats) -> list[Span]:
    """Seconds in which somebody speaks: padded, short gaps closed, blips left out."""
    spans: list[Span] = []
    for start, end in _runs(activity):
        if spans and start - spans[-1][1] < _JOIN:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    length = len(activity) * _CHUNK / SAMPLE_RATE
    return [(max(0.0, a - _PAD), min(length, b + _PAD)) for a, b in spans if b - a >= _SHORTEST]


def _runs(activity: Floats) -> Iterator[Span]:
    """Runs that start over one threshold and end under a lower one."""
    start: int | None = None
    for i, value in enumerate(activity):
        if start is None and value >= _STARTS:
            start = i
        elif start is not None and value < _STOPS:
            yield start * _CHUNK / SAMPLE_RATE, i * _CHUNK / SAMPLE_RATE
            start = None
    if start is not None:
        yield start * _CHUNK / SAMPLE_RATE, len(activity) * _CHUNK / SAMPLE_RATE


def _keep(samples: Floats, spans: list[Span]) -> Floats:
    """Silence outside the spans (Whisper invents words for noise), nothing after the last: times stay those of the clip."""
    out = np.zeros(round(spans[-1][1] * SAMPLE_RATE), np.float32)
    for start, end in spans:
        a, b = round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)
        piece = samples[a:b]
        out[a : a + len(piece)] = piece
    return out
