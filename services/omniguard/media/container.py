"""Opening sound and video files with FFmpeg: what may be opened, and which streams are taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import av
import av.error
import av.logging
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from omniguard.errors import BadContent, Reason
from omniguard.media.limits import DecodeLimits

# The demuxer is forced by the sniffed type, so that FFmpeg never probes: a playlist cannot pass for a film.
_DEMUXER = {
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/flac": "flac",
    "audio/aac": "aac",
    "audio/ogg": "ogg",
    "video/ogg": "ogg",
    "audio/mp4": "mov",
    "video/mp4": "mov",
    "video/quicktime": "mov",
    "video/webm": "matroska",
    "video/matroska": "matroska",
    "video/mp2t": "mpegts",
    "video/x-msvideo": "avi",
}
# Formats whose header states the length. Elsewhere it is an estimate from the bit rate, and packets are counted instead.
_STATES_LENGTH = frozenset({"audio/wav", "audio/flac", "audio/mp4", "video/mp4", "video/quicktime", "video/webm"}) | frozenset(
    {"video/matroska", "video/x-msvideo"}
)
# Whose writers state where the last packet ends, though the first may begin late: a piece of a longer recording.
_STATES_END = frozenset({"video/webm", "video/matroska"})
# `protocol_whitelist` holds for whatever a demuxer opens by itself; `enable_drefs` is MOV's way to name other files.
_OPTIONS = {"protocol_whitelist": "file", "enable_drefs": "0", "use_absolute_path": "0"}


@dataclass(frozen=True, slots=True)
class Streams:
    """The tracks that a player would choose, and where the timeline starts and ends, in seconds of the container.

    `covers` are still pictures that go with the file; `others` counts what is read by nobody.
    """

    container: InputContainer
    video: VideoStream | None
    audio: AudioStream | None
    zero: float
    stated: float | None
    others: int
    covers: tuple[VideoStream, ...] = ()


def silence_ffmpeg() -> None:
    """FFmpeg writes parts of file names and metadata to the log: keep it quiet."""
    av.logging.set_level(None)
    av.logging.set_libav_level(av.logging.PANIC)


_LOST = 1.0
"""Seconds of packets that may fail to decode: a damaged one at the begin or the end is common and harmless."""


@contextmanager
def damage() -> Iterator[None]:
    """Turn FFmpeg's errors into ours.

    Raises:
        BadContent: unsupported, too_large (out of memory) or damaged.

    """
    try:
        yield
    except (av.error.DecoderNotFoundError, av.error.PatchWelcomeError, av.error.NotImplementedError) as error:
        raise BadContent(Reason.UNSUPPORTED, "the codec has no decoder here; expected a common one: convert it") from error
    except MemoryError as error:
        raise BadContent(Reason.TOO_LARGE, "decoding needs more memory than the limit: send a smaller file") from error
    except (av.error.FFmpegError, OSError, ValueError, IndexError) as error:
        kind = type(error).__name__
        raise BadContent(Reason.DAMAGED, f"the file is damaged ({kind}): expected one that plays to its end") from error


@contextmanager
def opened(path: Path, media_type: str, limits: DecodeLimits, *, only: str | None = None) -> Iterator[Streams]:
    """Open a file for reading; `only` ("video", "audio" or "covers") leaves all other tracks unread.

    Raises:
        BadContent: damaged, unsupported, too_large.

    """
    with damage():
        container = av.open(f"file:{path}", format=_DEMUXER[media_type], options=dict(_OPTIONS), metadata_errors="replace")
    with container:
        with damage():
            streams = _choose(container, media_type, limits)
        chosen = {"video": (streams.video,), "audio": (streams.audio,), "covers": streams.covers}
        keep = chosen[only] if only else (streams.video, streams.audio)
        for stream in container.streams:
            if stream not in keep:
                stream.discard = Discard.all
        yield streams


def _choose(container: InputContainer, media_type: str, limits: DecodeLimits) -> Streams:
    if len(container.streams) > limits.max_streams:
        found = f"{len(container.streams)} streams"
        raise BadContent(Reason.TOO_LARGE, f"the file has {found}; expected at most {limits.max_streams}: leave out the others")
    still = Disposition.attached_pic | Disposition.timed_thumbnails
    pictures = [s for s in container.streams.video if not s.disposition & still]
    covers = tuple(s for s in container.streams.video if s.disposition & still == Disposition.attached_pic)
    video = _best(container, pictures)
    audio = container.streams.best("audio", related=video)
    if not isinstance(audio, AudioStream):
        audio = None
    shown = (container.streams.video, container.streams.audio, container.streams.subtitles)
    others = sum(len(kind) for kind in shown) - (video is not None) - (audio is not None) - len(covers)
    for stream in (video, audio):
        if stream is not None:
            if stream.codec_context is None:  # PyAV's way to say that FFmpeg has no decoder for it
                found = f"the {stream.type} track's codec has no decoder here"
                raise BadContent(Reason.UNSUPPORTED, f"{found}; expected a common one: convert the file")
            stream.codec_context.thread_count = 1
    if video is not None:
        _check_pixels(video, limits)
        video.codec_context.options = {"max_pixels": str(limits.max_pixels)}
    starts = [float(s.start_time * s.time_base) for s in (video, audio) if s and s.start_time is not None and s.time_base]
    zero = min(starts, default=0.0)
    return Streams(container, video, audio, zero, _stated(container, media_type, zero), others, covers)


def _stated(container: InputContainer, media_type: str, zero: float) -> float | None:
    """Seconds by the header; None where it does not say, or says what cannot be."""
    seconds = (container.duration or 0) / 1_000_000
    if media_type in _STATES_END:
        seconds -= max(zero, 0.0)
    return seconds if seconds > 0 and media_type in _STATES_LENGTH else None


def _best(container: InputContainer, pictures: list[VideoStream]) -> VideoStream | None:
    """FFmpeg's choice, unless that is a cover picture."""
    best = container.streams.best("video")
    return best if isinstance(best, VideoStream) and best in pictures else next(iter(pictures), None)


def _check_pixels(video: VideoStream, limits: DecodeLimits) -> None:
    width, height = video.codec_context.width, video.codec_context.height
    if width * height > limits.max_pixels:
        raise BadContent(
            Reason.TOO_LARGE,
            f"the video is {width} x {height} pixels; expected at most {limits.max_pixels} in all: send a smaller version",
        )


def cover_pictures(streams: Streams) -> Iterator[bytes]:
    """The bytes of every cover, one each, as they are in the file.

    Raises:
        BadContent: damaged; also where the file names more covers than it holds.

    """
    missing = {stream.index for stream in streams.covers}
    with damage():
        for packet in streams.container.demux(streams.covers) if missing else ():
            if packet.stream.index in missing and packet.size:
                missing.remove(packet.stream.index)
                yield bytes(packet)
            if not missing:
                return
    if missing:
        raise BadContent(
            Reason.DAMAGED, f"{len(missing)} cover pictures are named and not there; expected them: send the file anew"
        )


def stated_end(streams: Streams, stream: VideoStream | AudioStream) -> float | None:
    """Where the header says that a track ends, in seconds of the part; None where it does not say."""
    if streams.stated is None or stream.duration is None or stream.time_base is None:
        return None
    start = float((stream.start_time or 0) * stream.time_base)
    return start + float(stream.duration * stream.time_base) - streams.zero


def scan_seconds(streams: Streams, limits: DecodeLimits) -> float:
    """The length by reading every packet's time stamp, without decoding.

    Raises:
        BadContent: too_long; damaged.

    """
    end = 0.0
    chosen = tuple(s for s in (streams.video, streams.audio) if s is not None)
    with damage():
        for packet in streams.container.demux(chosen):
            if packet.pts is not None and packet.time_base is not None:
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base) - streams.zero)
            if end > limits.max_seconds:
                break
    return end


@overload
def decoded(streams: Streams, stream: VideoStream) -> Iterator[VideoFrame]: ...
@overload
def decoded(streams: Streams, stream: AudioStream) -> Iterator[AudioFrame]: ...
def decoded(streams: Streams, stream: VideoStream | AudioStream) -> Iterator[VideoFrame | AudioFrame]:
    """Every frame of one track that can be decoded, in the order it is shown.

    Raises:
        BadContent: more than a second of it cannot be decoded; or as `damage`.

    """
    lost = 0.0
    with damage():
        for packet in streams.container.demux(stream):
            try:
                yield from (frame for frame in packet.decode() if isinstance(frame, VideoFrame | AudioFrame))
            except av.error.FFmpegError as error:
                lost += float((packet.duration or 0) * (packet.time_base or 0))
                if lost > _LOST or isinstance(error, MemoryError):
                    raise
