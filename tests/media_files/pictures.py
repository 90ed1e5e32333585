"""Pictures with known content, written by Pillow or byte by byte."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

RED, GREEN, BLUE, WHITE = (250, 10, 10), (10, 250, 10), (10, 10, 250), (250, 250, 250)


def quarters(width: int = 64, height: int = 48) -> Image.Image:
    """Red and green above, blue and white below: an orientation can be told from it."""
    image = Image.new("RGB", (width, height))
    half = (width // 2, height // 2)
    for colour, at in ((RED, (0, 0)), (GREEN, (half[0], 0)), (BLUE, (0, half[1])), (WHITE, half)):
        image.paste(colour, (*at, at[0] + half[0], at[1] + half[1]))
    return image


def corners(data: bytes) -> list[str]:
    """Names of the colours of a picture's four quarters, from the upper left, row by row."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    width, height = image.size
    names = {"red": RED, "green": GREEN, "blue": BLUE, "white": WHITE}
    found = []
    for y in (height // 4, 3 * height // 4):
        for x in (width // 4, 3 * width // 4):
            seen = np.array(image.getpixel((x, y)), float)
            found.append(min(names, key=lambda n: float(np.abs(seen - np.array(names[n])).sum())))
    return found


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The picture as a file's bytes."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def animation(kind: str, frames: int = 10, milliseconds: int = 200, size: tuple[int, int] = (64, 48)) -> bytes:
    """Frame n has brightness 20 n + 20."""
    shown = [Image.new("RGB", size, (20 * n + 20,) * 3) for n in range(frames)]
    return saved(shown[0], kind, save_all=True, append_images=shown[1:], duration=milliseconds, loop=0)


def png(width: int, height: int, rows: bytes | None = None, *, colour: int = 2, chunks: bytes = b"") -> bytes:
    """A PNG of one black (or transparent) colour, of any size, without holding it in memory."""
    channels = {0: 1, 2: 3, 6: 4}[colour]
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    if rows is None:
        packer = zlib.compressobj(9)
        line = bytes(1 + width * channels)
        rows = b"".join(packer.compress(line) for _ in range(height)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunks + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def chunk(name: bytes, data: bytes) -> bytes:
    """One PNG chunk."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
