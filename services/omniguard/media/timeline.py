"""Frames and sound of one file are cut into segments on one timeline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from omniguard.domain.content import MediaInfo, Modality, Segment
from omniguard.domain.plan import ChunkPlan
from omniguard.errors import BadContent, Reason
from omniguard.media.audio import SoundTrack
from omniguard.media.container import cover_pictures, damage, opened, scan_seconds
from omniguard.media.image import still
from omniguard.media.limits import DecodeLimits
from omniguard.media.spans import SHORTEST_TAIL, stride, window_end
from omniguard.media.video import PictureTrack
from omniguard.media.whole import missing_bytes

_MISSING_SHARE = 0.01
_MISSING_LEAST, _MISSING_MOST = 0.5, 5.0
"""Seconds by which headers are wrong in files that are whole."""
_EXACT, _MISSING_EXACT = frozenset({"audio/flac", "audio/wav"}), 0.05
"""Formats whose headers count samples."""


def probe_timeline(path: Path, media_type: str, limits: DecodeLimits) -> MediaInfo:
    """Length and tracks of a sound or video file, without decoding it.

    Raises:
        BadContent: damaged, unsupported, too_large, too_long.

    """
    with opened(path, media_type, limits) as streams:
        if streams.video is None and streams.audio is None:
            raise BadContent(Reason.DAMAGED, "the file holds neither sound nor pictures; expected at least one track")
        seconds = streams.stated or scan_seconds(streams, limits)
        if seconds > limits.max_seconds:
            found = f"the file states {seconds:.0f} s"
            raise BadContent(Reason.TOO_LONG, f"{found}; expected at most {limits.max_seconds:.0f} s: split it")
        video = streams.video
        width, height = (video.codec_context.width, video.codec_context.height) if video else (0, 0)
        return MediaInfo(
            seconds, video is not None, streams.audio is not None, width, height, streams.others, len(streams.covers)
        )


def timeline_segments(part_id: str, path: Path, media_type: str, plan: ChunkPlan, limits: DecodeLimits) -> Iterator[Segment]:
    """Decode once from begin to end; memory stays bounded by a few windows, however long the file and its interleaving.

    Sound and pictures are read through two handles, so that a file that holds all pictures before all sound costs no more.
    Cover pictures follow as stills, behind the last window.

    Raises:
        BadContent: damaged (also where clearly less was found than the file states), unsupported, too_large, too_long.
            What was yielded before stays valid.

    """
    with ExitStack() as stack:
        streams = stack.enter_context(opened(path, media_type, limits))
        pictures = sound = None
        if streams.video is not None:
            only = stack.enter_context(opened(path, media_type, limits, only="video"))
            pictures = PictureTrack(only, only.video, plan, limits) if only.video is not None else None
        if streams.audio is not None:
            only = stack.enter_context(opened(path, media_type, limits, only="audio"))
            sound = SoundTrack(only, only.audio, plan.sample_rate, limits) if only.audio is not None else None
        last = -1
        for segment in _cut(part_id, pictures, sound, plan):
            last = segment.index
            yield segment
        _check_complete(pictures, sound, streams.stated, _MISSING_EXACT if media_type in _EXACT else _MISSING_LEAST)
        _check_whole(path, media_type)
        if streams.covers:
            only = stack.enter_context(opened(path, media_type, limits, only="covers"))
            for place, picture in enumerate(cover_pictures(only)):
                # Two behind the last window: what has no time is no neighbour of it.
                yield Segment(part_id, last + 2 + place, Modality.IMAGE, frames=(still(picture, plan, limits),))


def _cut(part_id: str, pictures: PictureTrack | None, sound: SoundTrack | None, plan: ChunkPlan) -> Iterator[Segment]:
    tracks = tuple(track for track in (pictures, sound) if track is not None)
    step = stride(plan.window_seconds, 0.0 if pictures is not None else plan.overlap_seconds)
    index, t1 = 0, 0.0
    while True:
        t0 = index * step
        with damage():
            for track in tracks:
                track.advance(t0 + plan.window_seconds + SHORTEST_TAIL)
        end = max(track.end for track in tracks) if all(track.ended for track in tracks) else None
        if end is not None and t1 >= end:
            return
        t1 = window_end(t0, plan.window_seconds, end)
        sounds = sound.take(t0, t1, keep_from=t0 + step) if sound is not None else ()
        yield Segment(
            part=part_id,
            index=index,
            modality=Modality.AUDIO if pictures is None else Modality.VIDEO,
            t0=t0,
            t1=t1,
            frames=pictures.take(t1) if pictures is not None else (),
            sound=sounds[0] if sounds else None,
        )
        for further in sounds[1:]:  # under the same index: their scores merge
            yield Segment(part_id, index, Modality.AUDIO, t0, t1, sound=further)
        index += 1


def _check_complete(pictures: PictureTrack | None, sound: SoundTrack | None, stated: float | None, least: float) -> None:
    tracks = tuple(track for track in (pictures, sound) if track is not None)
    for track in tracks:
        if track.failure is not None:
            raise track.failure
        if track.end == 0.0:
            kind = "picture" if track is pictures else "sound"
            raise BadContent(Reason.DAMAGED, f"nothing of the file's {kind} track could be decoded; send a whole file")
    found = [(track.end, track.stated_end) for track in tracks]
    for seconds, expected in (*found, (max(end for end, _ in found), stated)):
        if expected is not None and expected - seconds > min(max(least, _MISSING_SHARE * expected), _MISSING_MOST):
            raise BadContent(
                Reason.DAMAGED,
                f"the file states {expected:.1f} s, and {seconds:.1f} s could be decoded; it seems cut off: send it again whole",
            )


def _check_whole(path: Path, media_type: str) -> None:
    """A track of which nothing is left, its description included, is missed by nobody else."""
    with damage():
        missing = missing_bytes(path, media_type)
    if missing:
        found = f"the file ends {missing} bytes before the end that it states"
        raise BadContent(Reason.DAMAGED, f"{found}; it seems cut off: send it again whole")
