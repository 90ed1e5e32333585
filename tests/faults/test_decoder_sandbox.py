"""A decoder that a file has taken over reaches nothing, and the worker goes on: each attempt is made for real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from faults.sandbox_attempts import BARE, FATAL, HARMLESS, REFUSED
from media_files.pictures import quarters, saved
from omniguard.adapters import _decoder_process
from omniguard.adapters.decoder import ProcessDecoder
from omniguard.domain.content import FetchedPart, Modality, Part
from omniguard.domain.deadline import NEVER
from omniguard.domain.reason import Reason
from omniguard.errors import BadContent, Misconfigured
from omniguard.media.limits import DecodeLimits
from omniguard.media.sandbox import PARTS
from unit.stages.rig import rig, upload

ROOT = Path(__file__).parents[2]
PATHS = f"{ROOT / 'services'}:{ROOT / 'tests'}"


def attempts(mode: str) -> tuple[list[str], dict[str, str]]:
    command = [sys.executable, "-m", "faults.sandbox_attempts", mode]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": PATHS}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    parts, outcomes = json.loads(done.stdout)
    return parts, outcomes


@pytest.mark.parametrize("mode", ["root", "nobody"])
def test_nothing_is_reached_from_inside(mode: str) -> None:
    parts, outcomes = attempts(mode)
    assert parts == list(PARTS)
    assert {name: outcomes[name] for name in FATAL} == dict.fromkeys(FATAL, "SIGSYS")
    assert [name for name in REFUSED if not outcomes[name].startswith("refused")] == []


def test_seccomp_alone_leaves_reading_and_no_more() -> None:
    """As where the container's runtime refuses user namespaces and the kernel has no Landlock."""
    parts, outcomes = attempts("bare")
    assert parts == ["limits", "privileges", "seccomp"]
    assert {name: outcomes[name] for name in FATAL} == dict.fromkeys(FATAL, "SIGSYS")
    assert {name for name in REFUSED if not outcomes[name].startswith("refused")} <= BARE
    assert outcomes["passwd"] == "done"


def test_without_a_sandbox_the_attempts_come_through() -> None:
    assert attempts("none") == ([], dict.fromkeys(HARMLESS, "done"))


@pytest.fixture
def taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoders that do what a file says."""
    monkeypatch.setattr(_decoder_process, "ENTRY", "faults.hostile_decoder")
    monkeypatch.setattr(_decoder_process, "_PACKAGE_ROOT", PATHS)


@pytest.fixture
async def decoder(taken_over: None, tmp_path: Path) -> AsyncIterator[ProcessDecoder]:
    limits = DecodeLimits(cpu_seconds=1)
    async with ProcessDecoder(processes=1, limits=limits, folder=tmp_path) as decoder:
        yield decoder


def part(path: Path) -> FetchedPart:
    return FetchedPart(Part("p0", Modality.IMAGE), "", path.stat().st_size, "", path)


ENDS = {
    "socket": (Reason.DECODER_CRASHED, "sandbox ended"),
    "fork-bomb": (Reason.DECODER_CRASHED, "sandbox ended"),
    "environment": (Reason.DECODER_CRASHED, "PermissionError"),
    "write": (Reason.DECODER_CRASHED, "PermissionError"),
    "allocate": (Reason.TOO_LARGE, "more memory"),
    "spin": (Reason.DAMAGED, "within 1 s of processor time"),
    "list": (Reason.DECODER_CRASHED, "nonsense"),
    "error": (Reason.DECODER_CRASHED, "nonsense"),
    "info": (Reason.DECODER_CRASHED, "nonsense"),
    "size": (Reason.DECODER_CRASHED, "nonsense"),
}


async def test_every_attack_costs_one_part_its_examination(decoder: ProcessDecoder, tmp_path: Path) -> None:
    (still := tmp_path / "still").write_bytes(saved(quarters(), "PNG"))
    for name, (reason, words) in ENDS.items():
        (path := tmp_path / "attack").write_text(f"ATTACK {name} ")
        with pytest.raises(BadContent) as caught:
            pytest.fail(f"{name}: {await decoder.probe(part(path), NEVER)}")
        assert (caught.value.reason, caught.value.part, words in str(caught.value)) == (reason, "p0", True), (name, caught.value)
    assert (await decoder.probe(part(still), NEVER)).width == 64


async def test_who_lifts_the_limit_of_processor_time_ends_by_the_clock(taken_over: None, tmp_path: Path) -> None:
    (path := tmp_path / "attack").write_text("ATTACK spin-unbounded ")
    async with ProcessDecoder(processes=1, limits=DecodeLimits(cpu_seconds=1, stall_seconds=3.0), folder=tmp_path) as decoder:
        with pytest.raises(BadContent, match="did not go on within 3 s"):
            await decoder.probe(part(path), NEVER)
        assert decoder.pids == ()


async def test_media_elsewhere_are_not_read(decoder: ProcessDecoder, tmp_path_factory: pytest.TempPathFactory) -> None:
    (other := tmp_path_factory.mktemp("other-worker") / "still").write_bytes(saved(quarters(), "PNG"))
    with pytest.raises(BadContent, match="PermissionError"):
        await decoder.probe(part(other), NEVER)


async def test_the_upload_is_indeterminate_and_the_next_is_judged(taken_over: None, tmp_path: Path) -> None:
    objects = {"s3://u/attack": b"\x89PNG\r\n\x1a\nATTACK socket ", "s3://u/still": saved(quarters(), "PNG")}
    async with rig(tmp_path, objects=objects) as made:
        for name in ("attack", "still"):
            parts = [{"id": "p1", "modality": "image", "uri": f"s3://u/{name}"}]
            await made.carry(made.record(upload(content_id=name, parts=parts)))
        attacked, judged = made.verdicts
        letter = made.dead_letters[0]
    assert (attacked.status.value, attacked.reason, judged.status.value) == ("indeterminate", Reason.DECODER_CRASHED, "final")
    assert "sandbox" in letter.reason


async def test_a_required_part_that_is_missing_stops_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with ProcessDecoder(processes=1, folder=tmp_path, required=PARTS) as whole:
        assert whole.sandbox == PARTS
    decoder = ProcessDecoder(processes=1, folder=tmp_path, required=("landlock", "walls"))
    with pytest.raises(Misconfigured, match=r"found no walls, expected it as worker\.sandbox_required"):
        await decoder.start()
    assert decoder.pids == ()
