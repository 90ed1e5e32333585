"""What the pipeline relies on in a decoder, shown on the process pool and on its twin."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import av
import numpy as np
import pytest

from guard_samples import speech
from hostile_media import FAMILIES
from hostile_media.reading import results
from media_files.films import sounding, with_cover, write
from media_files.pictures import corners, quarters, saved
from media_files.reading import pcm
from omniguard.adapters.decoder import InlineDecoder, ProcessDecoder
from omniguard.domain.content import FetchedPart, MediaInfo, Modality, Part, Segment
from omniguard.domain.deadline import NEVER, Deadline
from omniguard.domain.plan import ChunkPlan
from omniguard.errors import BadContent, Reason, Retryable
from omniguard.media.limits import DecodeLimits
from omniguard.ports import Decoder
from origins import trapped

PLAN = ChunkPlan()


@pytest.fixture(params=["process", "inline"])
async def decoder(request: pytest.FixtureRequest) -> AsyncIterator[Decoder]:
    limits = DecodeLimits(stall_seconds=60)
    if request.param == "inline":
        yield InlineDecoder(limits=limits)
        return
    async with ProcessDecoder(processes=2, limits=limits) as decoder:
        yield decoder


def part(path: Path, modality: Modality = Modality.VIDEO) -> FetchedPart:
    return FetchedPart(Part("p7", modality), "0" * 64, path.stat().st_size, "application/octet-stream", path)


async def everything(decoder: Decoder, fetched: FetchedPart, plan: ChunkPlan = PLAN) -> tuple[MediaInfo, list[Segment]]:
    info = await decoder.probe(fetched, NEVER)
    async with aclosing(decoder.segments(fetched, info, plan, NEVER)) as segments:
        return info, [segment async for segment in segments]


async def test_a_video(decoder: Decoder, tmp_path: Path) -> None:
    info, segments = await everything(decoder, part(write(tmp_path / "a.mp4", seconds=14)))
    assert (info.has_frames, info.has_sound, info.seconds) == (True, True, pytest.approx(14, abs=0.1))
    assert [(s.part, s.index, s.modality, s.t0) for s in segments] == [
        ("p7", 0, Modality.VIDEO, 0.0),
        ("p7", 1, Modality.VIDEO, 6.0),
        ("p7", 2, Modality.VIDEO, 12.0),
    ]
    assert [len(s.frames) for s in segments] == [6, 6, 2]
    for segment in segments:
        assert segment.sound is not None
        assert len(segment.sound.data) == 2 * round(16_000 * ((segment.t1 or 0) - (segment.t0 or 0)))
        assert all(frame.data.startswith(b"\xff\xd8") for frame in segment.frames)


async def test_a_picture(decoder: Decoder, tmp_path: Path) -> None:
    (path := tmp_path / "a").write_bytes(saved(quarters(), "PNG"))
    info, (segment,) = await everything(decoder, part(path, Modality.IMAGE))
    assert (info.seconds, info.width, info.height) == (None, 64, 48)
    assert (segment.modality, segment.t0, segment.media) == (Modality.IMAGE, None, (Modality.IMAGE,))


@pytest.mark.parametrize("name", ["a.mp3", "a.m4a", "a.flac", "a.mp4", "a.mkv"])
async def test_a_cover_is_a_still_behind_the_last_window(decoder: Decoder, name: str, tmp_path: Path) -> None:
    codecs = {"a.mp3": "libmp3lame", "a.flac": "flac"}
    video = "libx264" if name in ("a.mp4", "a.mkv") else None
    made = with_cover(tmp_path / name, saved(quarters(), "JPEG"), video=video, audio=codecs.get(name, "aac"))
    info, (window, cover) = await everything(decoder, part(made))
    assert (info.covers, info.unexamined_streams, window.index) == (1, 0, 0)
    assert (cover.index, cover.media, cover.t0, cover.t1) == (2, (Modality.IMAGE,), None, None)
    assert corners(cover.frames[0].data) == ["red", "green", "blue", "white"]


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp4"])
async def test_sound_in_opposite_phase_is_heard(decoder: Decoder, name: str, tmp_path: Path) -> None:
    spoken = (speech("harmless") * 20_000).astype(np.int16)
    codec = {"a.wav": "pcm_s16le", "a.flac": "flac", "a.mp4": "aac"}[name]
    fetched = part(sounding(tmp_path / name, np.stack([spoken, -spoken]), layout="stereo", codec=codec))
    _, segments = await everything(decoder, fetched)
    assert [segment.index for segment in segments] == [0, 1]
    heard = np.abs(pcm(segments[0]))[:90_000].mean()
    assert heard == pytest.approx(np.abs(spoken.astype(float))[:90_000].mean(), rel=0.1)


async def test_what_a_mix_would_hide_comes_as_further_sound_of_its_window(decoder: Decoder, tmp_path: Path) -> None:
    spoken = (speech("harmless")[:80_000] * 20_000).astype(np.int16)
    loud = np.random.default_rng(5).normal(0, 9_000, 80_000).clip(-32_000, 32_000).astype(np.int16)
    film = write(tmp_path / "film.mp4", seconds=5, audio=None)
    wav = sounding(tmp_path / "a.wav", np.stack([spoken // 8, loud]), layout="stereo")
    with av.open(str(film)) as pictures, av.open(str(wav)) as sound, av.open(str(tmp_path / "both.mkv"), "w") as out:
        sources = [(source, out.add_stream_from_template(source.streams[0])) for source in (pictures, sound)]
        for source, track in sources:
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = track
                    out.mux(packet)
    _, (window, further) = await everything(decoder, part(tmp_path / "both.mkv"))
    assert (window.media, len(window.frames)) == ((Modality.VIDEO, Modality.AUDIO), 5)
    assert (further.index, further.t0, further.t1, further.media) == (0, window.t0, window.t1, (Modality.AUDIO,))
    assert np.corrcoef(pcm(further)[:80_000], spoken)[0, 1] > 0.99
    assert np.corrcoef(pcm(window)[:80_000], loud)[0, 1] > 0.9


async def test_the_bytes_decide_not_the_claim(decoder: Decoder, tmp_path: Path) -> None:
    """A film sent as a sound is examined as a film."""
    _, segments = await everything(decoder, part(write(tmp_path / "a.mp4", seconds=3), Modality.AUDIO))
    assert segments[0].media == (Modality.VIDEO, Modality.AUDIO)


async def test_the_same_file_gives_the_same_segments(decoder: Decoder, tmp_path: Path) -> None:
    fetched = part(write(tmp_path / "a.mp4", seconds=7))
    assert await everything(decoder, fetched) == await everything(decoder, fetched)


async def test_the_plan_is_followed(decoder: Decoder, tmp_path: Path) -> None:
    fetched = part(write(tmp_path / "a.mp4", seconds=8))
    _, segments = await everything(decoder, fetched, ChunkPlan(window_seconds=4, fps=2, max_frames=16))
    assert [(s.t0, len(s.frames)) for s in segments] == [(0.0, 8), (4.0, 8)]


async def test_what_came_before_an_error_stays(decoder: Decoder, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", seconds=20)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    fetched, found = part(path), []
    info = await decoder.probe(fetched, NEVER)

    async def examine() -> None:
        async with aclosing(decoder.segments(fetched, info, PLAN, NEVER)) as segments:
            async for segment in segments:
                found.append(segment)  # noqa: PERF401 - what was found before the error is the point

    with pytest.raises(BadContent, match="states 20") as caught:
        await examine()
    assert (caught.value.reason, caught.value.part) == (Reason.DAMAGED, "p7")
    assert found[0].t0 == 0.0
    assert 8 < found[-1].t1 < 12


async def test_a_passed_deadline_is_told(decoder: Decoder, tmp_path: Path) -> None:
    fetched, passed = part(write(tmp_path / "a.mp4")), Deadline(time.monotonic() - 1)
    with pytest.raises(Retryable) as caught:
        await decoder.probe(fetched, passed)
    assert (caught.value.reason, caught.value.part) == (Reason.DEADLINE, "p7")
    info = await decoder.probe(fetched, NEVER)
    with pytest.raises(Retryable) as caught:
        await anext(decoder.segments(fetched, info, PLAN, passed))
    assert caught.value.reason is Reason.DEADLINE


async def test_a_part_without_a_file_is_refused(decoder: Decoder) -> None:
    with pytest.raises(BadContent) as caught:
        await decoder.probe(FetchedPart(Part("p7", Modality.TEXT, text="hello"), "", 5, "text/plain"), NEVER)
    assert (caught.value.reason, caught.value.part) == (Reason.UNSUPPORTED, "p7")


async def test_one_may_stop_in_the_middle_and_go_on_with_another(decoder: Decoder, tmp_path: Path) -> None:
    fetched = part(write(tmp_path / "a.mp4", seconds=14))
    info = await decoder.probe(fetched, NEVER)
    for _ in range(3):
        async with aclosing(decoder.segments(fetched, info, PLAN, NEVER)) as segments:
            assert (await anext(segments)).index == 0
    assert len((await everything(decoder, fetched))[1]) == 3


@pytest.fixture
def trap() -> Iterator[tuple[str, list[str]]]:
    with trapped() as found:
        yield found


async def test_hostile_files_end_in_segments_or_in_a_reason(
    decoder: Decoder, tmp_path: Path, trap: tuple[str, list[str]]
) -> None:
    """Some of the corpus, on the twin as well; tests/fuzz has all of it."""
    target, calls = trap
    cases = list(FAMILIES["references"](tmp_path, target))[::2]
    wrong = [f"{r.case.name}: {each}" async for r in results(decoder, cases, tmp_path) for each in r.wrong]
    assert not wrong, "\n".join(wrong)
    assert calls == [], "a file made the decoder open an address"


@pytest.mark.parametrize("kind", ["hls", "concat"])
async def test_a_playlist_that_passes_for_a_film_opens_nothing(
    decoder: Decoder, kind: str, tmp_path: Path, trap: tuple[str, list[str]]
) -> None:
    """Behind the first bytes of a transport stream, where a probing demuxer would find it."""
    target, calls = trap
    secret = write(tmp_path / "secret.mp4", seconds=2)
    text = f"#EXTM3U\n#EXTINF:1,\n{target}\n" if kind == "hls" else f"ffconcat version 1.0\nfile '{secret}'\n"
    (path := tmp_path / "x.m3u8").write_bytes((b"G" + b"\n" * 187) * 5 + text.encode())
    with pytest.raises(BadContent):
        await everything(decoder, part(path))
    assert calls == []
