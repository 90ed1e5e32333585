"""FLAC through FFmpeg."""

from __future__ import annotations

import io

import av
import numpy as np
from numpy.typing import NDArray

from omniguard.guard.engine import Refusal
from omniguard.guard.wire import GuardErrorCode


def decode(data: bytes, rate: int, max_seconds: float) -> NDArray[np.float32]:
    """Decode a FLAC clip to float32 [samples], mono at `rate`; stops reading past `max_seconds`.

    Raises:
        Refusal: invalid_request; no FLAC, damaged, or too long.

    """
    chunks: list[NDArray[np.float32]] = []
    length = 0
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    try:
        with av.open(io.BytesIO(data), format="flac", mode="r") as container:
            for frame in (*container.decode(audio=0), None):
                for piece in resampler.resample(frame):
                    chunks.append(piece.to_ndarray().reshape(-1).astype(np.float32))
                    length += len(chunks[-1])
                if length > max_seconds * rate:
                    raise Refusal(
                        GuardErrorCode.INVALID_REQUEST, f"found more than {max_seconds:g} s of sound, expected at most that"
                    )
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise Refusal(
            GuardErrorCode.INVALID_REQUEST,
            f"found a clip that is no whole flac ({type(error).__name__}), expected one; encode it anew",
        ) from None
    if not length:
        raise Refusal(GuardErrorCode.INVALID_REQUEST, "found a flac clip without samples, expected some")
    return np.concatenate(chunks)
