"""Video frames, sampled evenly on the part's timeline."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from PIL import Image

from omniguard.domain.content import Frame
from omniguard.domain.plan import ChunkPlan
from omniguard.errors import BadContent, Reason
from omniguard.media.container import Streams, decoded, stated_end
from omniguard.media.high_range import HIGH_RANGE, standard_range
from omniguard.media.limits import DecodeLimits
from omniguard.media.picture import encode, fit
from omniguard.media.shots import Flash, Shots
from omniguard.media.spans import frame_step

_FALLBACK_RATE = 25.0
_EPSILON = 1e-6


class PictureTrack:
    """Reads one video track from its begin to its end, and keeps the frame on show at each sampling time.

    Sampling times are multiples of the plan's step; a sample is the last frame that began at or before it, as a player
    would show it, whatever the frame rate does. `end` is in seconds, `failure` says why the track ended before its end.
    """

    def __init__(self, streams: Streams, stream: VideoStream, plan: ChunkPlan, limits: DecodeLimits) -> None:
        """Begin to read; nothing is decoded yet."""
        self.ended = False
        self.end = 0.0
        self.failure: BadContent | None = None
        self.stated_end = stated_end(streams, stream)
        self._plan = plan
        self._limits = limits
        self._zero = streams.zero
        self._latest = streams.stated + 1 if streams.stated is not None else limits.max_seconds
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        self._frame_seconds = 1 / rate if rate > 0 else 1 / _FALLBACK_RATE
        self._step = frame_step(plan)
        self._index = 0
        self._aspect = min(max(float(stream.sample_aspect_ratio or 1), 0.1), 10.0)
        self._frames = self._decoded(streams, stream)
        self._shown: VideoFrame | None = None
        self._encoded: bytes | None = None
        self._samples: deque[Frame] = deque()
        self._shots = Shots()
        self._reformatter = VideoReformatter()
        self._flashes: list[tuple[float, Frame]] = []
        """Seconds that a shot was shown which no sample shows, and a frame of it."""

    def advance(self, until: float) -> None:
        """Decode up to `until` seconds, or to the end."""
        decoded = 0
        while not self.ended and self.end <= until:
            frame = next(self._frames, None)
            if frame is None:
                self._finish()
                return
            self._show(frame)
            decoded += 1
            if decoded > self._limits.max_frames_per_window or self.end > self._limits.max_seconds:
                self._refuse(decoded)

    def take(self, before: float) -> tuple[Frame, ...]:
        """The samples earlier than `before` not taken yet, and what flashed up between them, as far as there is room."""
        taken = []
        while self._samples and self._samples[0].time < before - _EPSILON:
            taken.append(self._samples.popleft())
        here = [flash for flash in self._flashes if flash[1].time < before - _EPSILON]
        self._flashes = self._flashes[len(here) :]
        longest = sorted(here, key=lambda flash: -flash[0])[: max(0, self._plan.max_frames - len(taken))]
        return tuple(sorted([*taken, *(frame for _, frame in longest)], key=lambda frame: frame.time))

    def _show(self, frame: VideoFrame) -> None:
        begin = self._begin(frame)
        if self._shown is not None:
            self._sample(self._shown, begin)
        self._shown, self._encoded, self.end = frame, None, begin
        self._shots.show(frame, begin)

    def _begin(self, frame: VideoFrame) -> float:
        """Seconds at which the frame is first shown; never before the one before it, whatever its time stamp says."""
        following = self.end + self._frame_seconds if self._shown is not None else 0.0
        if frame.pts is None or frame.time_base is None:
            return following
        time = float(frame.pts * frame.time_base) - self._zero
        return following if time > self._latest or time < self.end else time

    def _finish(self) -> None:
        self.ended = True
        if self._shown is not None:
            seconds = float((self._shown.duration or 0) * (self._shown.time_base or 0))
            self.end += seconds if 0 < seconds < 1 else self._frame_seconds
            self._sample(self._shown, self.end)
            self._keep(self._shots.ended(self.end))
            self._shown = None

    def _sample(self, shown: VideoFrame, until: float) -> None:
        """Keep the frame on show for every sampling time before `until`."""
        while self._index * self._step < until - _EPSILON:
            if self._encoded is None:
                self._keep(self._shots.sampled())
                self._encoded = self._picture(shown)
            self._samples.append(Frame(self._encoded, self._index * self._step))
            self._index += 1

    def _keep(self, flash: Flash | None) -> None:
        if flash is not None:
            self._flashes.append((flash.seconds, Frame(self._picture(flash.frame), flash.begin)))

    def _picture(self, frame: VideoFrame) -> bytes:
        width, height = fit(frame.width * self._aspect, frame.height, self._plan.max_pixels)
        high = frame.color_trc in HIGH_RANGE
        how = "AREA" if width < frame.width else "BICUBIC"
        rgb = self._reformatter.reformat(frame, width, height, "rgb48le" if high else "rgb24", interpolation=how)
        if high:
            codes = rgb.to_ndarray().astype(np.uint16, copy=False)
            image = Image.fromarray(standard_range(codes, frame.color_trc, frame.color_primaries))
        else:
            plane = rgb.planes[0]
            image = Image.frombytes("RGB", (width, height), bytes(plane), "raw", "RGB", plane.line_size)
        turns = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
        turn = turns.get(round(frame.rotation / 90) * 90 % 360)
        return encode(image.transpose(turn) if turn is not None else image, self._plan)

    def _decoded(self, streams: Streams, stream: VideoStream) -> Iterator[VideoFrame]:
        try:
            yield from decoded(streams, stream)
        except BadContent as error:
            self.failure = BadContent(error.reason, f"the video breaks off after {self.end:.1f} s: {error}")

    def _refuse(self, decoded: int) -> None:
        self.ended = True
        if self.end > self._limits.max_seconds:
            limit = f"{self._limits.max_seconds:.0f} s"
            self.failure = BadContent(Reason.TOO_LONG, f"the video is longer than {limit}: split it into several parts")
        else:
            found = f"{decoded} frames within one window"
            self.failure = BadContent(Reason.TOO_LARGE, f"{found}; expected at most {self._limits.max_frames_per_window}")
