"""Sound into words: voice activity first, then speech to text only where somebody speaks."""

from __future__ import annotations

from collections.abc import Iterator
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
        self._knows_languages: bool = self._whisper.model.is_multilingual

    def listen(self, samples: Floats) -> Speech:
        """Transcribe float32 [samples] at 16 kHz, at most 30 s: one pass whatever the number of spans."""
        spans = speech_spans(self.activity(samples))
        if not spans:
            return Speech()
        only_speech = _keep(samples, spans)
        heard, info = self._whisper.transcribe(
            only_speech,
            beam_size=1,
            temperature=(0.0, 0.4),
            condition_on_previous_text=False,
            language=None if self._knows_languages else "en",
        )
        segments = list(heard)
        sentences = tuple(Sentence(s.text.strip(), float(s.start), float(s.end)) for s in segments if s.text.strip())
        sure = (
            self._knows_languages
            and info.language == "en"
            and info.language_probability >= _SURE_LANGUAGE
            and all(s.avg_logprob >= _SURE_WORDS for s in segments)
        )
        return Speech(sentences, bool(sentences) and sure)

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
