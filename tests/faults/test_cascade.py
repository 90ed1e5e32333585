"""Two models in genuine Triton: the first stage stands where it may, and is killed and hung while the full one answers on."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from guard_samples import HARMFUL, HARMLESS
from omniguard.adapters.memory_assessments import MemoryAssessmentStore
from omniguard.adapters.memory_publisher import MemoryPublisher
from omniguard.bootstrap import Service, service
from omniguard.contracts import verdict
from omniguard.contracts.verdict import VerdictData
from omniguard.devstack import Stack
from omniguard.domain.record import Partition, Record
from omniguard.entrypoints.uploads import content_event
from omniguard.observability import METRICS
from omniguard.settings import load_settings
from stack import REPOSITORY

pytestmark = [pytest.mark.stack, pytest.mark.triton, pytest.mark.timeout(300)]

SCRIPTED = Path(__file__).parents[1] / "contract" / "scripted_guard" / "omniguard"
HATE = """
  - {name: hate, severity: high, description: Degrading people for what they are.}"""
CATEGORIES = f"""{HATE}
  - {{name: indiscriminate_weapons, severity: critical, description: Weapons of mass destruction and bombs.}}"""
POLICY = """
id: cascaded
version: 1
categories:
  - {{name: test, severity: low, description: The test phrase of an installation.}}{categories}
thresholds: {{text: &t {{review: 0.5, block: 0.8}}, image: *t, audio: *t, video: *t, joint: *t}}
required: {{}}
fallback: review
uncategorized: review
cascade: {{bounds: {{text: 0.3}}, audit: 0.000001}}
"""


@pytest.fixture
def triton(own_stack: Callable[..., Stack], tmp_path: Path) -> str:
    """Serves the guard model of this checkout, and the scripted one under another name."""
    repository = tmp_path / "repository"
    shutil.copytree(REPOSITORY / "omniguard", repository / "omniguard")
    shutil.copytree(SCRIPTED, repository / "scripted")
    config = repository / "scripted" / "config.pbtxt"
    config.write_text(config.read_text().replace('name: "omniguard"', 'name: "scripted"'))
    stack = own_stack(
        parts=("triton",),
        model_repository=repository,
        triton_args=("--load-model=scripted",),
        triton_env={"OMNIGUARD_SCRIPT_NOTES": str(tmp_path)},
    )
    return stack.up().triton


class Cascaded:
    """A service without Kafka, and what it published."""

    def __init__(self, built: Service, publisher: MemoryPublisher) -> None:
        self._built, self._publisher, self._offset = built, publisher, -1

    async def upload(self, text: str) -> VerdictData:
        """Carry an upload of one text to its end."""
        self._offset += 1
        topic = self._built.topics.content(self._built.lane)
        parts = [{"id": "p0", "modality": "text", "text": text}]
        made = content_event(topic, parts, tenant="acme", content_id=f"c{self._offset}")
        record = Record(Partition(topic, 0), self._offset, made.key, made.value, datetime.now(UTC), made.headers)
        await self._built.window.submit(record, alone=True)
        message = self._publisher.records(self._built.topics.verdicts)[-1]
        return verdict.decode(message.value, message.headers)

    async def until_stood_for(self) -> VerdictData:
        """Upload until the first stage answers: it is asked what it can only once the service is up."""
        async with asyncio.timeout(60):
            while True:
                found = await self.upload(f"{HARMLESS} ({self._offset})")
                if found.model is not None and found.model.stage == "first":
                    return found
                await asyncio.sleep(0.05)


@asynccontextmanager
async def cascaded(folder: Path, address: str, *, full: str, first: str, categories: str) -> AsyncIterator[Cascaded]:
    (folder / "policy.yaml").write_text(POLICY.format(categories=categories))
    (folder / "tenants.yaml").write_text("tenants: {acme: {policy: policy.yaml, policy_epoch: 1}}")
    settings = load_settings(
        policy={"tenants": folder / "tenants.yaml"},
        triton={"addresses": address, "model": full},
        cascade={"model": first, "salt": "salt", "seconds": 0.5},
        worker={"media_folder": folder / "media", "state_folder": folder / "state", "decode_processes": 1},
    )
    publisher = MemoryPublisher()
    async with service(settings, progress=lambda: None, publisher=publisher, store=MemoryAssessmentStore()) as built:
        yield Cascaded(built, publisher)


async def test_the_small_engine_stands_for_another_model(triton: str, tmp_path: Path) -> None:
    async with cascaded(tmp_path, triton, full="scripted", first="omniguard", categories=CATEGORIES) as each:
        passed = await each.until_stood_for()
        assert passed.model is not None
        assert (passed.model.name, passed.model.engine, passed.action) == ("omniguard", "lite", "allow")
        assert (passed.status, passed.assurance) == ("final", "full")
        harmful, foreign = await each.upload(HARMFUL), await each.upload("ein schöner Abend am See war das gestern")
        for gone_on in (harmful, foreign):  # over the bound; and not English, which the engine does not vouch for
            assert gone_on.model is not None
            assert (gone_on.model.engine, gone_on.model.stage) == ("scripted", "full")


@pytest.mark.long
async def test_verdicts_come_from_the_full_model_while_the_first_stage_hangs_and_after_its_death(
    triton: str, tmp_path: Path
) -> None:
    async with cascaded(tmp_path, triton, full="omniguard", first="scripted", categories=HATE) as each:
        assert (await each.until_stood_for()).action == "allow"
        late, away = (METRICS.value("omniguard_cascade_uploads_total", outcome=o) for o in ("late", "away"))
        hung = await each.upload("play:waits:hung")
        after = await each.upload("a text of its own while the first stage rests")
        assert METRICS.value("omniguard_cascade_uploads_total", outcome="late") == late + 1
        assert METRICS.value("omniguard_cascade_uploads_total", outcome="away") == away + 1
        await each.until_stood_for()
        killed = await each.upload("play:dies")
        gone = await each.upload("another text, with no first stage behind it")
        for found in (hung, after, killed, gone):
            assert found.model is not None
            assert (found.status, found.model.engine, found.model.stage) == ("final", "lite", "full"), found
        assert METRICS.value("omniguard_cascade_uploads_total", outcome="away") >= away + 2
