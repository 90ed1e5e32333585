"""WAV files byte by byte: right ones, and ones that no encoder would write."""

from __future__ import annotations

import struct


def wav(
    *,
    channels: int,
    samples: int,
    rate: int = 16_000,
    claimed: int | None = None,
    bits: int = 16,
    form: int = 1,
    data: bytes = b"",
) -> bytes:
    """PCM of `bits`, silent unless `data` says otherwise; `claimed` is what the header says of its size."""
    block = channels * bits // 8
    data = data or bytes(block * samples)
    size = len(data) if claimed is None else claimed
    head = struct.pack("<HHIIHH", form, channels, rate, rate * block & 0xFFFFFFFF, block & 0xFFFF, bits)
    riff = b"RIFF" + struct.pack("<I", (size + 36) & 0xFFFFFFFF) + b"WAVEfmt " + struct.pack("<I", len(head)) + head
    return riff + b"data" + struct.pack("<I", size) + data
