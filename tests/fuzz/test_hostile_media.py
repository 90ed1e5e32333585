"""Every file of the corpus ends examined, or refused for what it is; see `python -m hostile_media` for a line each.

By default every fourth file is decoded, the same ones in each run; FUZZ_MEDIA_EVERY=1, as `make fuzz` sets it, takes all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from hostile_media import FAMILIES, Case, Outcome
from hostile_media.case import MARKER
from hostile_media.reading import results
from media_files.films import write
from omniguard.adapters.decoder import ProcessDecoder
from omniguard.contracts.verdict import VerdictData
from omniguard.domain.reason import Reason
from omniguard.media.sniff import HEAD_BYTES, carries, sniff
from origins import trapped
from unit.stages.rig import Rig, rig, upload

pytestmark = pytest.mark.xdist_group("hostile-media")  # which share the files
Made = Callable[[str], list[Case]]
EVERY = int(os.environ.get("FUZZ_MEDIA_EVERY", "4"))
FILES = {"truncated": 400, "odd": 150, "broken": 350, "times": 70, "references": 80, "bombs": 60}
"""How many there are of each family, at least; all of them are made, whatever part is decoded."""
MAY_END_A_PROCESS = ("bombs", "odd")
"""Where memory ran out the process is not used again."""
SAMPLE = 12
"""Of so many files one goes through the whole pipeline."""


@pytest.fixture(scope="module")
def trap() -> Iterator[tuple[str, list[str]]]:
    with trapped() as found:
        yield found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, trap: tuple[str, list[str]]) -> Made:
    """Makes the files of a family once."""

    @cache
    def make(family: str) -> list[Case]:
        return list(FAMILIES[family](tmp_path_factory.mktemp(family), trap[0]))

    return make


@pytest.mark.parametrize("family", FAMILIES)
async def test_each_file_is_examined_or_refused_for_what_it_is(
    family: str, made: Made, tmp_path: Path, trap: tuple[str, list[str]]
) -> None:
    cases = made(family)
    assert len({case.name for case in cases}) == len(cases) >= FILES[family]
    async with ProcessDecoder(processes=1, max_tasks=10_000) as decoder:
        children = decoder.pids
        wrong = [f"{r.case.name}: {each}" async for r in results(decoder, cases[::EVERY], tmp_path) for each in r.wrong]
        survived = decoder.pids == children
    assert not wrong, "\n".join(wrong)
    assert survived or family in MAY_END_A_PROCESS, "a file ended its decoder process"
    assert trap[1] == [], "a file made the decoder open an address"


async def test_no_file_opens_another(tmp_path: Path) -> None:
    """Where a playlist is followed, it is not refused: its film is whole."""
    film = write(tmp_path / "secret.mp4", seconds=2, fps=5)
    async with ProcessDecoder(processes=1) as decoder:
        cases = FAMILIES["references"](tmp_path, str(film))
        wrong = [f"{r.case.name}: {each}" async for r in results(decoder, cases, tmp_path) for each in r.wrong]
    assert not wrong, "\n".join(wrong)


async def test_a_sample_goes_through_the_whole_pipeline(made: Made, tmp_path: Path) -> None:
    """One verdict each, with the coverage reached; a dead letter where the file was refused; nothing left in the folder."""
    folder = tmp_path
    objects: dict[str, bytes] = {}
    async with rig(folder, objects=objects, maximum=600.0) as worker:
        every = [case for family in FAMILIES for case in made(family)]
        for number, case in enumerate(every[:: SAMPLE * EVERY]):
            await _moderated(worker, objects, number, case)
            assert not list(folder.iterdir()), case.name


async def _moderated(worker: Rig, objects: dict[str, bytes], number: int, case: Case) -> None:
    uri, content_id = f"s3://bucket/{number}", f"c{number}"
    objects[uri] = case.data
    modality = next(iter(sorted(carries(sniff(case.data[:HEAD_BYTES]) or ""))), "image" if number % 2 else "video")
    media = {"id": "m", "modality": modality, "uri": uri}
    letters = len(worker.dead_letters)
    event = upload("hello", content_id)
    await worker.carry(worker.record({**event, "parts": [*event["parts"], media]}))
    (found,) = (verdict for verdict in worker.verdicts if verdict.content_id == content_id)
    _check(found, case)
    refused = found.status == "indeterminate" and found.reason is not Reason.NOT_ASSESSED
    assert len(worker.dead_letters) - letters == refused, (case.name, found.reason)
    if refused:
        assert MARKER not in worker.dead_letters[-1].reason


def _check(found: VerdictData, case: Case) -> None:
    assert MARKER not in found.model_dump_json(), case.name
    if found.status == "final":
        assert Outcome.EXAMINED in case.expect, (case.name, found)
        coverage = found.coverage["m"]
        assert coverage.seconds is None or coverage.seconds - (coverage.examined or 0.0) < 0.6, (case.name, coverage)
        return
    assert found.status == "indeterminate", (case.name, found)
    assert found.action != "allow", case.name
    allowed = {each.value for each in case.expect} | {Reason.NOT_ASSESSED.value, Reason.TYPE_MISMATCH.value}
    assert {problem.reason.value for problem in found.problems} <= allowed, (case.name, found.problems)
