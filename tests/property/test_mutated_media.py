"""Files with a few bytes changed end in segments or in a typed refusal, and in nothing else."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from media_files.films import write
from media_files.pictures import animation, quarters, saved
from omniguard.domain.plan import ChunkPlan
from omniguard.errors import BadContent
from omniguard.media.decode import decode, probe
from omniguard.media.limits import DecodeLimits

FILMS = {
    "mp4": {},
    "mkv": {},
    "avi": {"video": "mpeg4", "audio": "libmp3lame"},
    "ts": {},
    "mp3": {"video": None, "audio": "libmp3lame"},
    "ogg": {"video": None, "audio": "libopus"},
    "flac": {"video": None, "audio": "flac"},
    "wav": {"video": None, "audio": "pcm_s16le"},
}
STILLS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
NAMES = (*FILMS, *STILLS, "animation")
LIMITS = DecodeLimits(max_seconds=60, max_pixels=1_000_000)
CHANGES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=20)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    films = {kind: write(folder / f"a.{kind}", seconds=1, **how).read_bytes() for kind, how in FILMS.items()}
    return {**films, **{kind: saved(quarters(), kind) for kind in STILLS}, "animation": animation("GIF")}


@given(name=st.sampled_from(NAMES), changes=CHANGES, near_the_head=st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_change_gives_segments_or_a_reason(
    name: str, changes: list[tuple[float, int]], near_the_head: bool, whole: dict[str, bytes], tmp_path: Path
) -> None:
    data = bytearray(whole[name])
    reach = min(len(data), 400) if near_the_head else len(data)
    for place, value in changes:
        data[int(place * reach)] = value
    path = tmp_path / "file"
    path.write_bytes(data)
    try:
        probe(path, LIMITS)
        found = list(decode("p0", path, ChunkPlan(), LIMITS))
    except BadContent as refusal:
        found = []
        told = str(refusal)
    else:
        told = ""
    assert found or told, "nothing was examined, and nobody was told"
    assert all(a.t1 <= b.t1 for a, b in itertools.pairwise(found) if a.t1 is not None and b.t1 is not None)
