"""Sound as 16 kHz mono PCM16 on the part's timeline."""

from __future__ import annotations

from collections.abc import Iterator

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream

from omniguard.domain.content import Sound
from omniguard.errors import BadContent, Reason
from omniguard.media.container import Streams, decoded, stated_end
from omniguard.media.limits import DecodeLimits

_BYTES = 2
_JUMP = 0.1
"""Seconds by which a time stamp may differ from the samples counted before it is believed."""
_SILENCE_STEP = 16_000
_MIXABLE = 8
"""FFmpeg has a mixing table for layouts up to this many channels."""


class SoundTrack:
    """Reads one sound track from its begin to its end, holding only what has not been dropped.

    A gap between time stamps becomes silence; time stamps that go back are ignored, so that no sound is lost.
    `end` is in seconds, `failure` says why the track ended before its end.
    """

    def __init__(self, streams: Streams, stream: AudioStream, sample_rate: int, limits: DecodeLimits) -> None:
        """Begin to read; nothing is decoded yet."""
        self.ended = False
        self.failure: BadContent | None = None
        self.stated_end = stated_end(streams, stream)
        self._rate = sample_rate
        self._limits = limits
        self._latest = streams.stated + 1 if streams.stated is not None else limits.max_seconds
        self._zero = streams.zero
        self._frames = self._decoded(streams, stream)
        self._buffer = bytearray()
        self._first = 0
        self._gap = 0
        self._waiting: AudioFrame | None = None
        self._heard = 0.0
        self._shift = 0.0
        self._resampler: AudioResampler | None = None
        self._shape: tuple[str, str, int] | None = None

    @property
    def end(self) -> float:
        """Seconds read so far."""
        return (self._first + len(self._buffer) // _BYTES) / self._rate

    def advance(self, until: float) -> None:
        """Decode up to `until` seconds, or to the end."""
        while not self.ended and self.end < until:
            if self._gap:
                self._pad()
            elif self._waiting is not None:
                frame, self._waiting = self._waiting, None
                self._feed(frame)
            else:
                self._next()
            if self.end > self._limits.max_seconds:
                self.ended = True
                limit = f"{self._limits.max_seconds:.0f} s"
                self.failure = BadContent(Reason.TOO_LONG, f"the sound is longer than {limit}: split it into several parts")

    def take(self, t0: float, t1: float, keep_from: float) -> Sound | None:
        """The sound from `t0` to `t1`, silence after its end; None where the track has ended before `t0`.

        What lies before `keep_from` is dropped.
        """
        a, b = round(t0 * self._rate), round(t1 * self._rate)
        clip = bytes(self._buffer[(a - self._first) * _BYTES : (b - self._first) * _BYTES])
        drop = min(round(keep_from * self._rate) - self._first, len(self._buffer) // _BYTES)
        del self._buffer[: drop * _BYTES]
        self._first += drop
        return Sound(clip.ljust((b - a) * _BYTES, b"\x00"), self._rate) if clip else None

    def _next(self) -> None:
        frame = next(self._frames, None)
        if frame is None:
            self.ended = True
            self._flush()
        else:
            self._place(frame)
            self._waiting = frame

    def _pad(self) -> None:
        step = min(self._gap, _SILENCE_STEP)
        self._buffer += bytes(step * _BYTES)
        self._gap -= step

    def _decoded(self, streams: Streams, stream: AudioStream) -> Iterator[AudioFrame]:
        try:
            yield from decoded(streams, stream)
        except BadContent as error:
            self.failure = BadContent(error.reason, f"the sound breaks off after {self.end:.1f} s: {error}")

    def _place(self, frame: AudioFrame) -> None:
        """Compare the frame's time with the samples counted; leave a gap where sound is missing."""
        if frame.pts is not None and frame.time_base is not None:
            time = float(frame.pts * frame.time_base) - self._zero + self._shift
            ahead = time - self._heard
            if time > self._latest or ahead < -_JUMP:
                self._shift -= ahead
            elif ahead > _JUMP:
                self._flush()
                self._gap = max(0, round(time * self._rate) - self._first - len(self._buffer) // _BYTES)
                self._heard = time
        self._heard += frame.samples / frame.sample_rate

    def _feed(self, frame: AudioFrame) -> None:
        if len(frame.layout.channels) > _MIXABLE:
            frame = _mean(frame)
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or shape != self._shape:
            self._flush()
            self._shape = shape
            self._resampler = AudioResampler(format="s16", layout="mono", rate=self._rate)
        frame.pts = None
        self._append(self._resampler.resample(frame))

    def _flush(self) -> None:
        if self._resampler is not None:
            self._append(self._resampler.resample(None))
        self._resampler = self._shape = None

    def _append(self, frames: list[AudioFrame]) -> None:
        for frame in frames:
            self._buffer += memoryview(frame.planes[0])[: frame.samples * _BYTES]


def _mean(frame: AudioFrame) -> AudioFrame:
    """One channel out of many, all weighed alike."""
    samples = frame.to_ndarray()
    if frame.format.is_packed:
        samples = samples.reshape(-1, len(frame.layout.channels)).T
    mono = samples.mean(axis=0, keepdims=True).astype(samples.dtype)
    mixed = AudioFrame.from_ndarray(mono, format=frame.format.name, layout="mono")
    mixed.sample_rate = frame.sample_rate
    return mixed
