"""The disk of media and counts is full, or turned read-only: uploads that need it pass to the late lane, and come out of it."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import yaml

from faults import table
from faults.harness import Installation
from faults.metric import metric
from faults.nursery import Nursery
from faults.small_disk import FILE_BYTES, SmallDisk
from faults.table import Fault
from faults.worker import Worker
from media_files.pictures import png
from omniguard.domain.lane import Lane

pytestmark = pytest.mark.stack

PICTURE = png(64, 64)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with SmallDisk(tmp_path / "disk") as made:
        print(f"the disk is {made.means}")
        yield made


@pytest.fixture
async def installed(
    nursery: Nursery, kafka_url: str, topic_prefix: str, tmp_path: Path, seed: int, disk: SmallDisk
) -> AsyncIterator[Installation]:
    """Pictures lie on another disk, the worker's media and counts on the small one; there is no Redis."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "large.png").write_bytes(PICTURE + bytes(FILE_BYTES + 1))
    rules = {"file_roots": [str(pictures)]}
    tenants = yaml.safe_dump({"tenants": {"acme": {"policy": "default", "policy_epoch": 1, "fetch": rules}}})
    async with Installation(nursery, kafka_url, topic_prefix, tmp_path / "i", seed=seed, tenants=tenants) as made:
        await made.create(partitions=2)
        yield made


def _settings(disk: SmallDisk) -> dict[str, str]:
    return {"worker__media_folder": str(disk.folder / "media"), "worker__state_folder": str(disk.folder / "state")}


async def test_a_full_or_read_only_disk_costs_time_and_no_upload(
    installed: Installation, disk: SmallDisk, tmp_path: Path
) -> None:
    live, late = [await installed.start(lane, **_settings(disk)) for lane in (Lane.LIVE, Lane.LATE)]
    uri = (tmp_path / "pictures" / "large.png").as_uri()
    await _pictures(installed, "before", uri, 2)
    await _finals(installed, 2)

    disk.fill(live, late)
    fault = time.monotonic()
    await _pictures(installed, "full", uri, 6)
    await installed.upload("text", "hateword")  # needs no disk
    await installed.observer.until(lambda seen: len(seen.lanes[Lane.LATE]) == 6, what="deferrals")
    assert {v.reason for name in _names("full", 6) for v in installed.observer.seen.verdicts_of(name)} == {"fetch_failed"}
    assert await metric(live, "omniguard_indeterminate_total", reason="fetch_failed") == 6
    assert await metric(live, "omniguard_media_folder_free_bytes") == 0 or not disk.mounted
    await _finals(installed, 3)
    disk.free(live, late)
    healed = time.monotonic()
    await _finals(installed, 9)
    recovered = time.monotonic() - healed

    disk.make_read_only()
    await _pictures(installed, "fixed", uri, 4)
    inline = {"id": "p1", "modality": "image", "data": base64.b64encode(PICTURE).decode()}
    await installed.upload("inline", "", parts=[inline])
    await installed.observer.until(lambda seen: len(seen.lanes[Lane.LATE]) == 11, what="deferrals")
    disk.make_writable()
    rewritable = time.monotonic()
    await _finals(installed, 14)
    rewritten = time.monotonic() - rewritable

    await installed.observer.until_committed(lanes=(Lane.LIVE, Lane.LATE))
    assert disk.files() == []
    assert (live.alive, late.alive) == (True, True)
    report = await installed.check()
    assert report.duplicates == 0
    print(f"full for {healed - fault:.1f} s; the last final came {recovered:.1f} s after there was room")
    done = f"media and counts on {disk.means}, filled to the last byte; the last final after there is room"
    table.note(Fault("disk", "full", done, 9, 0, 0, None, recovered))
    done = "media folder read-only; the last final after it can be written"
    table.note(Fault("disk", "read-only", done, 5, 0, 0, None, rewritten))


@pytest.mark.long
async def test_an_event_that_kills_its_worker_is_counted_on_a_full_disk(installed: Installation, disk: SmallDisk) -> None:
    """Without Redis and without room the count still grows, so the event ends as a suspect."""
    await installed.upload("boom", "kill:boom")
    for death in range(1, 4):
        worker = await installed.start(wait=False, **_settings(disk))
        if death == 1:
            disk.fill(worker)
        await installed.until_started("boom", death)
        assert await worker.gone() == -9
    survivor: Worker = await installed.start(**_settings(disk))
    await installed.all_ended(1)
    assert [v.reason for v in installed.observer.seen.verdicts_of("boom")] == ["crash_suspect"]
    assert survivor.alive
    await installed.check(crash_suspects=["boom"])


async def _pictures(installation: Installation, name: str, uri: str, count: int) -> None:
    """No two events are answered by one judgement: each has a caption of its own."""
    for each in _names(name, count):
        caption = {"id": "p0", "modality": "text", "text": f"hello {each}"}
        await installation.upload(each, "", parts=[caption, {"id": "p1", "modality": "image", "uri": uri}])


async def _finals(installation: Installation, count: int) -> None:
    await installation.observer.until(
        lambda seen: len({v.content_id for v in seen.verdicts if v.status == "final"}) >= count, 150, f"{count} finals"
    )


def _names(name: str, count: int) -> list[str]:
    return [f"{name}{number}" for number in range(count)]
