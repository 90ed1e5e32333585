"""Sound and video on one timeline."""

from __future__ import annotations

import io
import itertools
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from hostile_media.sounds import wav
from media_files.films import grey, second_of, tone, write
from media_files.pictures import corners, quarters
from media_files.reading import LIMITS, cut, level, pcm, seconds_seen
from omniguard.domain.content import Modality, Segment
from omniguard.domain.plan import ChunkPlan
from omniguard.media.decode import probe


def assert_covers(segments: list[Segment], seconds: float, overlap: float = 0.0) -> None:
    assert segments[0].t0 == 0.0
    assert segments[-1].t1 == pytest.approx(seconds, abs=0.06)
    for index, segment in enumerate(segments):
        assert segment.index == index
        assert segment.t0 is not None
        assert segment.t1 is not None
        assert segment.t0 < segment.t1
        if segment.sound is not None:
            assert len(segment.sound.data) == 2 * round(16_000 * (segment.t1 - segment.t0))
    for a, b in itertools.pairwise(segments):
        assert (a.t1 or 0) - (b.t0 or 0) == pytest.approx(overlap)


VIDEOS = {
    "mp4": {},
    "mov": {},
    "mkv": {"audio": "libmp3lame"},
    "webm": {"video": "libvpx-vp9", "audio": "libopus", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "ts": {},
    "avi": {"video": "mpeg4", "audio": "libmp3lame"},
}


@pytest.mark.parametrize("kind", VIDEOS)
def test_frames_and_sound_share_one_timeline(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"film.{kind}", seconds=14.2, **VIDEOS[kind])
    info = probe(path, LIMITS)
    assert (info.has_frames, info.has_sound, info.width, info.height, info.unexamined_streams) == (True, True, 64, 48, 0)
    assert info.seconds == pytest.approx(14.2, abs=0.1)
    segments = cut(path)
    assert_covers(segments, 14.2)
    assert {segment.modality for segment in segments} == {Modality.VIDEO}
    assert [len(segment.frames) for segment in segments] == [6, 6, 3]
    for time, second in seconds_seen(segments):
        assert time - second == pytest.approx(0, abs=1), (time, second)
        if kind in ("mp4", "mov", "mkv", "webm"):
            assert second == time
    assert all(np.abs(pcm(segment)[1600:-1600]).mean() > 5_000 for segment in segments)


SOUNDS = {
    "mp3": "libmp3lame",
    "wav": "pcm_s16le",
    "flac": "flac",
    "ogg": "libopus",
    "m4a": "aac",
    "aac": "aac",
    "webm": "libopus",
}


@pytest.mark.parametrize("kind", SOUNDS)
def test_sound_windows_overlap_and_keep_their_pitch(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"sound.{kind}", video=None, audio=SOUNDS[kind], seconds=13, channels=2)
    info = probe(path, LIMITS)
    assert (info.has_frames, info.has_sound) == (False, True)
    assert info.seconds == pytest.approx(13, abs=0.1)
    segments = cut(path)
    assert_covers(segments, 13, overlap=1.0)
    for segment in segments:
        assert (segment.modality, segment.frames) == (Modality.AUDIO, ())
        wave = pcm(segment)[1600:-1600]
        peak = np.abs(np.fft.rfft(wave)).argmax() * 16_000 / len(wave)
        assert peak == pytest.approx(440, abs=2)


def test_windows_that_overlap_hold_the_same_sound_twice(tmp_path: Path) -> None:
    first, second, *_ = cut(write(tmp_path / "a.wav", video=None, audio="pcm_s16le", seconds=13))
    assert np.array_equal(pcm(first)[-16_000:], pcm(second)[:16_000])


def test_the_last_tiny_tail_is_merged(tmp_path: Path) -> None:
    assert [segment.t1 for segment in cut(write(tmp_path / "a.mp4", seconds=12.2))] == [6.0, pytest.approx(12.2, abs=0.05)]


def test_sound_that_starts_later_is_preceded_by_silence(tmp_path: Path) -> None:
    segments = cut(write(tmp_path / "late.mov", seconds=8, audio_start=1.5))
    wave = pcm(segments[0])
    assert not wave[: int(1.45 * 16_000)].any()
    assert np.abs(wave[int(1.6 * 16_000) :]).mean() > 5_000


def test_video_that_starts_later_keeps_its_times(tmp_path: Path) -> None:
    times = [2 + i / 25 for i in range(100)]
    segments = cut(write(tmp_path / "late.mkv", seconds=6, times=times))
    assert seconds_seen(segments)[2:] == [(2.0, 2), (3.0, 3), (4.0, 4), (5.0, 5)]
    assert np.abs(pcm(segments[0])[:16_000]).mean() > 5_000


def test_sound_that_ends_early_becomes_silence_then_nothing(tmp_path: Path) -> None:
    first, second, third = cut(write(tmp_path / "a.mkv", seconds=14, audio_seconds=7))
    assert np.abs(pcm(first)[1600:]).mean() > 5_000
    assert np.abs(pcm(second)[1600:14_000]).mean() > 5_000
    assert not pcm(second)[int(1.2 * 16_000) :].any()
    assert third.sound is None


def test_sound_longer_than_the_video_is_examined_too(tmp_path: Path) -> None:
    segments = cut(write(tmp_path / "a.mkv", seconds=4, audio_seconds=14))
    assert_covers(segments, 14)
    assert [len(segment.frames) for segment in segments] == [4, 0, 0]
    assert segments[2].media == (Modality.AUDIO,)


def test_a_video_without_sound(tmp_path: Path) -> None:
    path = write(tmp_path / "mute.mp4", audio=None, seconds=7)
    assert probe(path, LIMITS).has_sound is False
    assert [segment.media for segment in cut(path)] == [(Modality.VIDEO,), (Modality.VIDEO,)]


def test_all_pictures_before_all_sound(tmp_path: Path) -> None:
    """Two handles: the order in the file must not matter."""
    path = tmp_path / "apart.avi"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        sound = out.add_stream("pcm_s16le", rate=16_000, layout="mono")
        out.start_encoding()
        for index in range(120):
            frame = av.VideoFrame.from_ndarray(second_of(index / 10, 64, 48), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 10)
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
        clip = av.AudioFrame.from_ndarray(tone(12, 16_000), format="s16", layout="mono")
        clip.sample_rate, clip.pts, clip.time_base = 16_000, 0, Fraction(1, 16_000)
        for packet in [*sound.encode(clip), *sound.encode(None)]:
            out.mux(packet)
    segments = cut(path)
    assert_covers(segments, 12)
    assert [len(s.frames) for s in segments] == [6, 6]
    assert all(np.abs(pcm(s)).mean() > 5_000 for s in segments)


def test_a_variable_frame_rate_shows_what_a_player_would(tmp_path: Path) -> None:
    times = [0.0, 0.5, 3.2, 3.3, 7.9, 8.0, 8.04]
    path = write(tmp_path / "vfr.mkv", times=times, audio=None)
    segments = cut(path)
    shown = [max(int(t) for t in times if t <= at) for at in range(9)]
    assert seconds_seen(segments) == [(float(at), shown[at]) for at in range(9)]


@pytest.mark.parametrize(("fps", "expected"), [(1.0, 6), (2.0, 8), (0.5, 3), (0.01, 1)])
def test_sampling_is_even_and_bounded(fps: float, expected: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", seconds=12, audio=None)
    for segment in cut(path, ChunkPlan(fps=fps)):
        assert len(segment.frames) == pytest.approx(expected, abs=1)
        assert 1 <= len(segment.frames) <= 8
        gaps = np.diff([frame.time for frame in segment.frames])
        assert np.allclose(gaps, gaps[:1])


@pytest.mark.parametrize(("degrees", "matrix"), [(90, (0, 1, -1, 0)), (180, (-1, 0, 0, -1)), (270, (0, -1, 1, 0))])
def test_rotation_is_applied(degrees: int, matrix: tuple[int, ...], tmp_path: Path) -> None:
    stored = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}[degrees]
    turned = np.asarray(quarters(96, 64).transpose(stored))
    path = write(tmp_path / "phone.mp4", seconds=1, audio=None, size=turned.shape[1::-1], picture=lambda *_: turned)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    (segment,) = cut(path)
    assert corners(segment.frames[0].data) == ["red", "green", "blue", "white"]
    assert Image.open(io.BytesIO(segment.frames[0].data)).size == (96, 64)


@pytest.mark.parametrize("pix_fmt", ["yuv422p", "yuv444p", "yuv420p10le", "yuv444p10le"])
def test_chroma_and_depth(pix_fmt: str, tmp_path: Path) -> None:
    picture = np.asarray(quarters())
    (segment,) = cut(write(tmp_path / "a.mkv", seconds=1, audio=None, pix_fmt=pix_fmt, picture=lambda *_: picture))
    assert corners(segment.frames[0].data) == ["red", "green", "blue", "white"]


@pytest.mark.parametrize(("transfer", "code"), [("smpte2084", 0.58), ("arib-std-b67", 0.75)])
def test_high_range_is_shown_as_a_standard_screen_would(transfer: str, code: float, tmp_path: Path) -> None:
    """Both codes are what their standard calls reference white, 203 candela a square metre."""
    path = tmp_path / "hdr.mkv"
    with av.open(str(path), "w") as out:
        signal = f"log-level=none:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc"
        stream = out.add_stream("libx265", rate=10, options={"x265-params": signal, "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        for index in range(5):
            frame = av.VideoFrame(64, 64, "yuv420p10le")
            for plane, value in zip(frame.planes, (int(64 + 876 * code), 512, 512), strict=True):
                plane.update(np.full(plane.buffer_size // 2, value, np.uint16).tobytes())
            frame.pts, frame.time_base = index, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    (segment,) = cut(path)
    assert level(segment.frames[0].data) > 220


def test_odd_sizes(tmp_path: Path) -> None:
    (segment,) = cut(write(tmp_path / "a.mkv", seconds=1, audio=None, pix_fmt="yuv444p", size=(67, 51)))
    assert Image.open(io.BytesIO(segment.frames[0].data)).size == (67, 51)


def test_frames_are_made_smaller(tmp_path: Path) -> None:
    (segment,) = cut(write(tmp_path / "a.mp4", seconds=1, audio=None, size=(320, 240)), ChunkPlan(max_pixels=4_800))
    assert Image.open(io.BytesIO(segment.frames[0].data)).size == (80, 60)


def test_one_key_frame_is_enough(tmp_path: Path) -> None:
    segments = cut(write(tmp_path / "a.mp4", seconds=14, audio=None, gop=10_000))
    assert seconds_seen(segments) == [(float(t), t) for t in range(14)]


def test_sixty_channels_are_mixed(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    loud = np.zeros((16_000, 60), np.int16)
    loud[:, ::2] = 8_000
    path.write_bytes(wav(channels=60, samples=16_000)[:44] + loud.tobytes())
    (segment,) = cut(path)
    assert pcm(segment).mean() == pytest.approx(8_000, abs=200)  # every second one is silent


def test_channels_that_come_and_go_keep_their_time(tmp_path: Path) -> None:
    """A track of MPEG audio may turn from mono to stereo and back."""
    pieces = [
        write(tmp_path / f"{i}.mp3", video=None, audio="libmp3lame", seconds=2, channels=channels).read_bytes()
        for i, channels in enumerate((1, 2, 1))
    ]
    (path := tmp_path / "joined.mp3").write_bytes(b"".join(piece[piece.index(b"\xff\xfb") :] for piece in pieces))
    (segment,) = cut(path)
    assert segment.t1 == pytest.approx(6, abs=0.3)
    levels = [np.abs(pcm(segment)[round(t * 16_000) :][:8_000]).mean() for t in (0.7, 2.7, 4.7)]
    assert min(levels) > 4_000


def test_time_stamps_that_go_back_lose_nothing(tmp_path: Path) -> None:
    """Two recordings joined byte by byte: the second one's clock begins again."""
    one = write(tmp_path / "one.ts", seconds=4).read_bytes()
    joined = tmp_path / "joined.ts"
    joined.write_bytes(one + one)
    segments = cut(joined)
    assert segments[-1].t1 == pytest.approx(8, abs=0.3)
    loud = np.concatenate([pcm(segment) for segment in segments])
    assert np.abs(loud).mean() > 6_000


def test_a_gap_in_the_sound_is_silence(tmp_path: Path) -> None:
    path = tmp_path / "gap.mkv"
    with av.open(str(path), "w") as out:
        sound = out.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for start in (0, 5):
            clip = av.AudioFrame.from_ndarray(tone(2, 16_000), format="s16", layout="mono")
            clip.sample_rate, clip.pts, clip.time_base = 16_000, start * 16_000, Fraction(1, 16_000)
            for packet in sound.encode(clip):
                out.mux(packet)
    whole = np.concatenate([pcm(s) for s in cut(path, ChunkPlan(overlap_seconds=0))])
    assert len(whole) == 7 * 16_000
    assert not whole[int(2.1 * 16_000) : int(4.9 * 16_000)].any()
    assert np.abs(whole[int(5.1 * 16_000) :]).mean() > 5_000


def test_subtitles_are_counted_as_unexamined(tmp_path: Path) -> None:
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:00,000 --> 00:00:01,000\nnobody reads this\n\n")
    path = tmp_path / "film.mkv"
    with av.open(str(words)) as source, av.open(str(path), "w") as film:
        picture = film.add_stream("mpeg4", rate=5, width=64, height=48, pix_fmt="yuv420p")
        written = film.add_stream_from_template(source.streams.subtitles[0])
        for shade in range(0, 200, 40):
            film.mux(picture.encode(av.VideoFrame.from_ndarray(grey(64, 48, shade), "rgb24")))
        film.mux(picture.encode())
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = written
                film.mux(packet)
    assert probe(path, LIMITS).unexamined_streams == 1
