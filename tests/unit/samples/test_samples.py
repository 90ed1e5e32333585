"""The sample uploads are what their manifest says."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import orjson
import pytest

from omniguard.contracts.content_event import parse
from omniguard.domain.content import Cause, Modality, Upload
from omniguard.domain.plan import ChunkPlan
from omniguard.domain.reason import Reason
from omniguard.errors import BadContent, Unidentifiable
from omniguard.media.decode import decode, probe
from omniguard.media.limits import DecodeLimits
from omniguard.media.sniff import HEAD_BYTES, sniff
from omniguard.samples import MEDIA, Sample, load

SAMPLES = {sample.name: sample for sample in load("run-7-")}
LIMITS = DecodeLimits()


def read(sample: Sample) -> Upload:
    upload = parse(sample.key, sample.value, {})
    assert isinstance(upload, Upload)
    return upload


def referenced() -> Iterator[tuple[str, Path, str | None]]:
    for sample in SAMPLES.values():
        if sample.expect.verdict and sample.name != "missing-reference":
            for part in read(sample).parts:
                if part.uri is not None:
                    yield sample.name, Path(unquote(urlsplit(part.uri).path)), part.media_type


@pytest.mark.parametrize("sample", [s for s in SAMPLES.values() if s.expect.verdict], ids=lambda s: s.name)
def test_every_upload_keeps_the_contract(sample: Sample) -> None:
    upload = read(sample)
    assert upload.identity.content_id.startswith("run-7-")
    assert (upload.identity.key.encode(), upload.identity.content_version) == (sample.key, sample.content_version)
    assert sample.expect.status in ("final", "indeterminate")
    assert set(sample.expect.actions) <= {"allow", "review", "block"}
    assert sample.expect.actions
    if sample.expect.status == "indeterminate":
        assert Reason(str(sample.expect.reason))
        assert sample.expect.dead_letter
    if sample.expect.span is not None:
        assert sample.expect.part in {part.id for part in upload.parts}
        assert sample.expect.span[0] < sample.expect.span[1]
    assert sample.about


@pytest.mark.parametrize("name", ["unknown-version", "not-json"])
def test_what_nobody_can_read_is_a_dead_letter_alone(name: str) -> None:
    sample = SAMPLES[name]
    assert (sample.expect.verdict, sample.expect.dead_letter) == (False, True)
    with pytest.raises(Unidentifiable):
        parse(sample.key, sample.value, {})


def test_all_kinds_of_upload_are_there() -> None:
    modalities = {part.modality for sample in SAMPLES.values() if sample.expect.verdict for part in read(sample).parts}
    assert modalities == set(Modality)
    assert {part.modality for part in read(SAMPLES["interleaved-post"]).parts} == {Modality.TEXT, Modality.IMAGE, Modality.AUDIO}


def test_order_and_versions() -> None:
    names = list(SAMPLES)
    for sample in SAMPLES.values():
        assert sample.after is None or names.index(sample.after) < names.index(sample.name)
    first, second = SAMPLES["post-first-version"], SAMPLES["post-second-version"]
    assert first.key == second.key
    assert (first.content_version, second.content_version, read(second).cause) == (1, 2, Cause.EDIT)
    again, once = read(SAMPLES["harmful-text-again"]), read(SAMPLES["harmful-text"])
    assert again.parts == once.parts
    assert again.identity != once.identity
    assert SAMPLES["harmful-text-again"].expect.cache_hit


def test_runs_do_not_share_contents_and_take_their_deadline() -> None:
    other = load("run-8-", tenant="beta", deadline_seconds=60)
    assert not {s.key for s in SAMPLES.values()} & {s.key for s in other}
    upload = read(other[0])
    assert upload.time is not None
    assert upload.deadline is not None
    assert (upload.deadline - upload.time).total_seconds() == 60
    assert read(SAMPLES["harmless-text"]).deadline is None


def test_media_elsewhere(tmp_path: Path) -> None:
    photo = next(sample for sample in load(media=tmp_path) if sample.name == "photograph")
    assert read(photo).parts[0].uri == (tmp_path / "photo.jpg").as_uri()


def test_the_media_are_there_small_and_of_their_type() -> None:
    found = list(referenced())
    assert {path for _, path, _ in found} == set(MEDIA.iterdir())
    assert sum(path.stat().st_size for path in MEDIA.iterdir()) < 3_000_000
    for name, path, media_type in found:
        assert sniff(path.read_bytes()[:HEAD_BYTES]) == media_type, name


def test_the_missing_file_is_missing() -> None:
    (part,) = read(SAMPLES["missing-reference"]).parts
    path = Path(unquote(urlsplit(str(part.uri)).path))
    assert path.parent == MEDIA
    assert not path.exists()


def test_the_harm_in_the_video_lies_in_one_window() -> None:
    span = SAMPLES["video"].expect.span
    assert span is not None
    segments = list(decode("p1", MEDIA / "harm-begins-at-12s.mp4", ChunkPlan(), LIMITS))
    assert segments[-1].t1 == pytest.approx(24, abs=0.2)
    (harmful,) = [s for s in segments if s.t0 is not None and s.t1 is not None and s.t0 < span[1] and s.t1 > span[0]]
    assert harmful.t0 == 12.0
    assert harmful.sound is not None
    loud = np.flatnonzero(np.abs(np.frombuffer(harmful.sound.data, np.int16)) > 1_000) / 16_000 + 12
    assert loud[0] == pytest.approx(span[0], abs=0.3)
    assert loud[-1] == pytest.approx(span[1], abs=0.3)


def _examine(path: Path) -> None:
    probe(path, LIMITS)
    list(decode("p0", path, ChunkPlan(), LIMITS))


@pytest.mark.parametrize("name", ["truncated-video", "oversized-image"])
def test_bad_media_are_refused_for_the_reason_expected(name: str) -> None:
    ((_, path, _),) = [found for found in referenced() if found[0] == name]
    with pytest.raises(BadContent) as caught:
        _examine(path)
    assert caught.value.reason == SAMPLES[name].expect.reason


def test_the_oversized_image_is_small_in_bytes() -> None:
    head = (MEDIA / "oversized.png").read_bytes()
    width, height = struct.unpack(">II", head[16:24])
    assert width * height > LIMITS.max_pixels
    assert len(head) < 20_000


def test_events_are_structured_cloudevents() -> None:
    event = orjson.loads(SAMPLES["video"].value)
    assert (event["specversion"], event["type"]) == ("1.0", "omniguard.content-event.v1")
    assert event["subject"].encode() == SAMPLES["video"].key
