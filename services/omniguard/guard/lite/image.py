"""Frames into scores: one picture model for the category sexual content, and the text in pictures for the text heads."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from omniguard.guard import assets
from omniguard.guard.decoded import Floats, Picture

__all__ = ["VERSION", "ImageModels", "Look", "Nsfw", "Ocr", "changed"]

VERSION = f"image-1 rapidocr-{version('rapidocr')}"
"""Part of the model digest: raise the number with any change here that can move a score."""

_SIDE, _CROP = 256, 224
_MEAN = np.array([104.0, 117.0, 123.0], np.float32)
_CHANGED = 0.02
"""Mean change of grey (0..1) from which a frame counts as another picture than the one before."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one frame showed: the porn score 0..1, and its text ("" if none)."""

    nsfw: float
    text: str


class Nsfw:
    """Yahoo's open-nsfw. It knows pornography alone: neither violence nor anything else that harms.

    Raises:
        Misconfigured: the model's file cannot be had.

    """

    def __init__(self, *, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(assets.path(assets.OPEN_NSFW)), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def score(self, picture: Picture) -> float:
        """0..1."""
        score = self._session.run(None, {self._input: _caffe(picture)[np.newaxis]})[0][0, 1]
        return min(max(float(score), 0.0), 1.0)


class Ocr:
    """Text in a picture. The recogniser, ten times as dear, runs only where the detector found lines."""

    def __init__(self, *, threads: int = 1) -> None:
        from rapidocr import RapidOCR  # three seconds of imports

        self._reader: Any = RapidOCR(
            params={
                "Global.log_level": "critical",  # it logs what it reads into
                "EngineConfig.onnxruntime.intra_op_num_threads": threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                # By default it enlarges small pictures: three times the time, for no line more on what we tried.
                "Det.limit_type": "max",
                "Det.limit_side_len": 736,
                "Det.max_candidates": 100,  # a page full of letters must not take a minute
            }
        )
        self.read(np.full((64, 64, 3), 255, np.uint8))  # loads the detector now, not at the first request

    def read(self, picture: Picture) -> str:
        """The lines, in reading order, one each; "" if there are none."""
        if min(picture.shape[:2]) < 16:  # no room for a letter
            return ""
        found = self._reader(np.ascontiguousarray(picture[:, :, ::-1]))
        return "\n".join(found.txts or ())


class ImageModels:
    """Both models. Frames of one video share work: a frame like the one before has its result."""

    def __init__(self, *, threads: int = 1, nsfw: Nsfw | None = None, ocr: Ocr | None = None) -> None:
        self._nsfw = nsfw or Nsfw(threads=threads)
        self._ocr = ocr or Ocr(threads=threads)

    def look(self, frames: Sequence[Callable[[], Picture]], check: Callable[[], None]) -> list[Look]:
        """Look at frames in order; each is decoded when its turn comes. `check` raises between two to end the work."""
        looks: list[Look] = []
        last: Floats | None = None
        for decode in frames:
            check()
            picture = decode()
            small = _grey(picture)
            if last is not None and not changed(last, small):
                looks.append(looks[-1])
                continue
            last = small
            looks.append(Look(self._nsfw.score(picture), self._ocr.read(picture)))
        return looks


def changed(before: Floats, after: Floats) -> bool:
    """True if two thumbnails, float32 [32, 32], show different pictures. Compared in blocks: a new line of text is small."""
    blocks = np.abs(before - after).reshape(8, 4, 8, 4).mean(axis=(1, 3))
    return bool(blocks.max() > _CHANGED)


def _grey(picture: Picture) -> Floats:
    small = Image.fromarray(picture).convert("L").resize((32, 32), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 255.0


def _caffe(picture: Picture) -> NDArray[np.float32]:
    """As the network was trained: 256 pixels square, through a JPEG, the middle 224, BGR less the mean; float32 [224, 224, 3]."""
    through = io.BytesIO()
    Image.fromarray(picture).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR).save(through, "JPEG")
    rgb = np.asarray(Image.open(through), np.float32)
    edge = (_SIDE - _CROP) // 2
    out: NDArray[np.float32] = rgb[edge : edge + _CROP, edge : edge + _CROP, ::-1] - _MEAN
    return out
