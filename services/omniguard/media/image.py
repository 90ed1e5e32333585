"""Still and animated pictures, normalised to upright RGB."""

from __future__ import annotations

import io
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageOps, ImageSequence, ImageStat

from omniguard.domain.content import Frame, MediaInfo, Modality, Segment
from omniguard.domain.plan import ChunkPlan
from omniguard.errors import BadContent, Reason
from omniguard.media.limits import DecodeLimits
from omniguard.media.picture import encode
from omniguard.media.sniff import HEAD_BYTES, sniff
from omniguard.media.spans import spans

Image.MAX_IMAGE_PIXELS = None  # checked below, against our own limit and with our own message

_PLUGINS = {
    "image/jpeg": ("JPEG",),
    "image/png": ("PNG",),
    "image/webp": ("WEBP",),
    "image/gif": ("GIF",),
    "image/bmp": ("BMP",),
    "image/tiff": ("TIFF",),
    "image/avif": ("AVIF",),
}
_SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")
_EPSILON = 1e-6
_SHORTEST_FRAME = 0.02
_DEFAULT_FRAME = 0.1
"""What browsers show instead of a shorter frame."""
# Pillow's decoders raise these on bytes they do not expect; there is no common base.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    ZeroDivisionError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
)
_UNFOLDS = ("Decompressed data too large", "Too much memory used in text chunks")
"""Pillow's words, in a ValueError, where a compressed text or profile is a bomb."""


@contextmanager
def _picture(source: Path | BinaryIO, media_type: str, limits: DecodeLimits) -> Iterator[Image.Image]:
    """Open a picture inside the limits; only its header is read.

    Raises:
        BadContent: unsupported, too_large, damaged.

    """
    if media_type not in _PLUGINS:
        raise BadContent(Reason.UNSUPPORTED, f"pictures of type {media_type} cannot be decoded here: send JPEG, PNG or WebP")
    try:
        with Image.open(source, formats=_PLUGINS[media_type]) as image:
            _check_size(image, limits)
            yield image
    except MemoryError as error:
        raise BadContent(Reason.TOO_LARGE, "decoding needs more memory than the limit: send a smaller picture") from error
    except _DAMAGE as error:
        if str(error).startswith(_UNFOLDS):
            raise BadContent(
                Reason.TOO_LARGE, "the text or colour profile in the picture unfolds into more than the limit: send it without"
            ) from error
        found = f"the picture is damaged ({type(error).__name__})"
        raise BadContent(Reason.DAMAGED, f"{found}; expected one that opens whole: send it again") from error


def probe_image(path: Path, media_type: str, limits: DecodeLimits) -> MediaInfo:
    """Size, and length if it is animated.

    Raises:
        BadContent: unsupported, too_large, too_long, damaged.

    """
    with _picture(path, media_type, limits) as image:
        width, height = image.size
        if not _animated(image):
            pages = int(getattr(image, "n_frames", 1)) if image.format == "TIFF" else 1
            return MediaInfo(None, has_frames=True, has_sound=False, width=width, height=height, unexamined_streams=pages - 1)
        return MediaInfo(sum(_durations(image, limits)), has_frames=True, has_sound=False, width=width, height=height)


def image_segments(part_id: str, path: Path, media_type: str, plan: ChunkPlan, limits: DecodeLimits) -> Iterator[Segment]:
    """One segment for a still; an animation is cut like a video without sound.

    Raises:
        BadContent: as `probe_image`.

    """
    with _picture(path, media_type, limits) as image:
        if _animated(image):
            yield from _animation(part_id, image, plan, limits)
        else:
            yield Segment(part_id, 0, Modality.IMAGE, frames=(Frame(encode(_upright(image), plan)),))


def still(data: bytes, plan: ChunkPlan, limits: DecodeLimits) -> Frame:
    """A picture that lies inside another file.

    Raises:
        BadContent: as `probe_image`; unsupported, also where it is animated.

    """
    media_type = sniff(data[:HEAD_BYTES]) or "of no known format"
    with _picture(io.BytesIO(data), media_type, limits) as image:
        if _animated(image):
            raise BadContent(
                Reason.UNSUPPORTED, "a cover picture is animated; expected a still one: send it as a part of its own"
            )
        return Frame(encode(_upright(image), plan))


def _check_size(image: Image.Image, limits: DecodeLimits) -> None:
    found = f"the picture is {image.width} x {image.height} pixels"
    if image.width * image.height > limits.max_pixels:
        raise BadContent(Reason.TOO_LARGE, f"{found}; expected at most {limits.max_pixels} in all: send a smaller version")
    if not _animated(image):
        return
    frames = int(getattr(image, "n_frames", 1))
    if frames > limits.max_animation_frames or frames * image.width * image.height > limits.max_animation_pixels:
        at_most = f"at most {limits.max_animation_frames} frames and {limits.max_animation_pixels} pixels together"
        raise BadContent(Reason.TOO_LARGE, f"{found} and has {frames} frames; expected {at_most}: send it as a video")


def _animated(image: Image.Image) -> bool:
    return image.format in ("GIF", "WEBP", "PNG", "AVIF") and bool(getattr(image, "is_animated", False))


def _durations(image: Image.Image, limits: DecodeLimits) -> list[float]:
    """Seconds that each frame is shown, as browsers do it."""
    found = []
    for frame in ImageSequence.Iterator(image):
        frame.load()
        seconds = float(frame.info.get("duration", 0) or 0) / 1000
        found.append(seconds if seconds >= _SHORTEST_FRAME else _DEFAULT_FRAME)
    if sum(found) > limits.max_seconds:
        expected = f"expected at most {limits.max_seconds:.0f} s"
        raise BadContent(Reason.TOO_LONG, f"the animation lasts {sum(found):.0f} s; {expected}: split it into several parts")
    return found


def _animation(part_id: str, image: Image.Image, plan: ChunkPlan, limits: DecodeLimits) -> Iterator[Segment]:
    """Every window shows as many of its frames as the plan allows: what flashes up for a moment is seen too."""
    durations = _durations(image, limits)
    starts = list(accumulate(durations, initial=0.0))[:-1]
    for index, (t0, t1) in enumerate(spans(sum(durations), plan.window_seconds)):
        within = sum(1 for start in starts if t0 <= start < t1)
        count = max(1, min(plan.max_frames, within))
        times = [t0 + k * (t1 - t0) / count for k in range(count)]
        frames = tuple(Frame(_frame_at(image, starts, time, plan), time) for time in times)
        yield Segment(part_id, index, Modality.VIDEO, t0=t0, t1=t1, frames=frames)


def _frame_at(image: Image.Image, starts: list[float], time: float, plan: ChunkPlan) -> bytes:
    image.seek(bisect_right(starts, time + _EPSILON) - 1)
    return encode(_upright(image), plan)


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation, and turn any mode into 8-bit RGB; what is transparent shows paper."""
    turned = ImageOps.exif_transpose(image)
    if turned.mode in _SIXTEEN_BIT:
        return _eight_bit(turned).convert("RGB")
    if turned.has_transparency_data:
        clear = turned.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, _paper(clear)), clear).convert("RGB")
    return turned.convert("RGB")


def _paper(clear: Image.Image) -> str:
    """White; black where what shows is light: white writing on a clear ground is plain to read on a dark page."""
    shown = ImageStat.Stat(clear.convert("L"), mask=clear.getchannel("A"))
    return "black" if shown.count[0] and shown.mean[0] > 127 else "white"


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale by the values' own range if they exceed 8 bits: Pillow's conversion would cut them off at 255."""
    extrema = image.getextrema()
    highest = max(float(v) for v in extrema if not isinstance(v, tuple))
    scale = 1.0 if 1 < highest <= 255 else 255 / (65535.0 if highest > 255 else max(highest, 1.0))
    return image.convert("F").point(lambda value: value * scale + 0).convert("L")
