"""Held-back texts spoken (espeak-ng → Whisper → heads) and drawn (Pillow → OCR → heads): what is lost on the way."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rich.progress import Progress

from omniguard.guard import assets
from omniguard.guard.lite import table
from omniguard.guard.lite.text import TextHeads
from omniguard.guard.lite.training import report
from omniguard.guard.lite.training.rows import Row

PER_CATEGORY = 36
PER_HARMLESS_SET = 50
VOICES = ("en-us", "en-gb", "en-us+f3", "en-gb+m4")
_WIDTH, _MARGIN, _LINE, _LETTERS = 640, 24, 30, 44


def spoken(heads: TextHeads, tests: Sequence[Row], bar: Progress) -> list[table.Row]:
    """Rows for `audio`; none, with a line that says so, where espeak-ng is missing."""
    speak = shutil.which("espeak-ng")
    if not speak:
        bar.console.print("espeak-ng was not found: the committed rows for speech are kept (install espeak-ng to renew them)")
        return []
    chosen = _choose(heads.names, tests)
    with tempfile.TemporaryDirectory() as folder:
        return rows(heads, "audio", chosen, _through(chosen, _listener(speak, Path(folder)), bar, "speech"))


def drawn(heads: TextHeads, tests: Sequence[Row], bar: Progress) -> list[table.Row]:
    """Rows for `image_text`."""
    chosen = _choose(heads.names, tests)
    return rows(heads, "image_text", chosen, _through(chosen, _reader(), bar, "pictures"))


def _choose(names: Sequence[str], tests: Sequence[Row]) -> list[Row]:
    pick = random.Random(7)  # noqa: S311 - a fixed choice, no secret
    chosen: list[Row] = []
    for name in names:
        of = [r for r in tests if name in r.labels]
        chosen += pick.sample(of, min(PER_CATEGORY, len(of)))
    for source in report.HARMLESS_TESTS:
        chosen += pick.sample([r for r in tests if r.source == source], PER_HARMLESS_SET)
    return chosen


def _through(chosen: Sequence[Row], channel: Callable[[int, str], str], bar: Progress, what: str) -> list[str]:
    return [channel(i, row.text) for i, row in enumerate(bar.track(chosen, description=what))]


def rows(heads: TextHeads, modality: str, chosen: Sequence[Row], texts: Sequence[str]) -> list[table.Row]:
    """One row a head over `texts`, which are what came out at the other end for the `chosen`."""
    scores = heads.score(texts)
    out = []
    for name in heads.names:
        positive = [s.categories[name] for s, r in zip(scores, chosen, strict=True) if name in r.labels]
        negative = [s.categories[name] for s, r in zip(scores, chosen, strict=True) if not r.harmful]
        sources = {r.source for r in chosen if name in r.labels or not r.harmful}
        out.append(report.row(name, modality, np.asarray(positive), np.asarray(negative), sorted(sources)))
    return out


def _listener(speak: str, folder: Path, threads: int = 2) -> Callable[[int, str], str]:
    from faster_whisper import WhisperModel  # heavy: only where speech is measured

    model = WhisperModel(str(assets.path(assets.WHISPER_BASE)), device="cpu", compute_type="int8", cpu_threads=threads)

    def hear(index: int, text: str) -> str:
        file = folder / "clip.wav"
        voice = VOICES[index % len(VOICES)]
        subprocess.run([speak, "-v", voice, "-s", "150", "-w", str(file), "--", text], check=True, capture_output=True)  # noqa: S603
        segments, _ = model.transcribe(  # as the engine does it: no second try by sampling
            str(file), language="en", beam_size=1, temperature=0.0, condition_on_previous_text=False
        )
        return " ".join(segment.text.strip() for segment in segments)

    return hear


def _reader() -> Callable[[int, str], str]:
    from rapidocr import RapidOCR  # heavy: only where pictures are measured

    engine: Any = RapidOCR(params={"Global.log_level": "error"})
    font = ImageFont.load_default(size=24)

    def see(index: int, text: str) -> str:
        dark = index % 2 == 0
        found = engine(_draw(text, font, "black" if dark else "white", "white" if dark else (40, 60, 90)))
        return " ".join(found.txts or ())

    return see


def _draw(text: str, font: Any, ink: Any, paper: Any) -> Any:
    lines, line = [], ""
    for word in text.split():
        if len(line) + len(word) >= _LETTERS:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    lines.append(line)
    picture = Image.new("RGB", (_WIDTH, 2 * _MARGIN + _LINE * len(lines)), paper)
    ImageDraw.Draw(picture).multiline_text((_MARGIN, _MARGIN), "\n".join(lines), fill=ink, font=font)
    return np.asarray(picture)
