"""Pictures in high range (PQ and HLG of ITU-R BT.2100) as a screen of standard range shows them.

swscale can do this as well, and spends seconds of processor time on a table for every size and every picture: a film of a
kilobyte would cost minutes. Here it is one look-up a sample, on the picture that has been made small already.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from av.video.reformatter import ColorPrimaries, ColorTrc
from numpy.typing import NDArray

__all__ = ["HIGH_RANGE", "standard_range"]

HIGH_RANGE = frozenset({ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67})
"""Transfer characteristics whose codes, cut to 8 bits, would be too dark to read."""
_WHITE = 203.0
"""Candela a square metre of reference white (ITU-R BT.2408), which becomes 1."""
_KNEE = 0.6
"""Light up to here is kept as it is; what is brighter is pressed into the rest."""
_LEVELS = 4_096
_TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)


def standard_range(rgb: NDArray[np.uint16], transfer: int, primaries: int) -> NDArray[np.uint8]:
    """Codes of 16 bits to codes of 8; uint [height, width, 3] both. `transfer` is one of HIGH_RANGE."""
    light = _light(transfer)[rgb >> 4]
    if primaries == ColorPrimaries.BT2020:
        light = np.maximum(light @ _TO_BT709.T, 0)
    brightest = light.max(axis=2, keepdims=True)
    over = np.maximum(brightest - _KNEE, 0) / (1 - _KNEE)
    pressed = np.minimum(brightest, _KNEE) + (1 - _KNEE) * (1 - np.exp(-over))
    light *= pressed / np.maximum(brightest, 1e-6)
    found: NDArray[np.uint8] = _codes()[(light * (_LEVELS - 1)).astype(np.uint16)]
    return found


@lru_cache(maxsize=2)
def _light(transfer: int) -> NDArray[np.float32]:
    """Light of every code, in reference white; float32 [_LEVELS]."""
    code = np.linspace(0, 1, _LEVELS)
    if transfer == ColorTrc.SMPTE2084:
        root = code ** (1 / 78.84375)
        nits = 10_000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
    else:
        scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        nits = 1_000 * scene**1.2
    light: NDArray[np.float32] = (nits / _WHITE).astype(np.float32)
    return light


@lru_cache(maxsize=1)
def _codes() -> NDArray[np.uint8]:
    """The 8-bit code of every light from 0 to 1; uint8 [_LEVELS]."""
    codes: NDArray[np.uint8] = np.rint(255 * np.linspace(0, 1, _LEVELS) ** (1 / 2.2)).astype(np.uint8)
    return codes
