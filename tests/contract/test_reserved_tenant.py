"""The installation's own tenant: what pipeline, fetchers and guard make of its uploads."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from guard_asking import Guard
from guard_asking import text as text_request
from omniguard.adapters.media_store import PartStore, fetchers
from omniguard.adapters.memory_guard import MemoryGuard
from omniguard.contracts.reserved_tenant import reserved_tenant
from omniguard.domain.content import Modality, Part
from omniguard.domain.deadline import NEVER
from omniguard.domain.taxonomy import TEST_PHRASE
from omniguard.entrypoints.probing import texts
from omniguard.errors import BadContent, Reason
from stage_bench import Bench, silence, text


class Narrow(MemoryGuard):
    """Assesses nothing but the test trigger, as an engine may."""

    async def label(self, *args: Any, **options: Any) -> Any:
        label = await super().label(*args, **options)
        return dataclasses.replace(label, event=label.event.model_copy(update={"assessed": {"text": ("test",)}}))


@pytest.mark.parametrize(("words", "action"), [("tulips", "allow"), (TEST_PHRASE, "review")])
async def test_a_probe_is_judged_for_good_and_nobody_is_to_enforce_it(words: str, action: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, tenant=reserved_tenant())
    found = await bench.upload(text(words), tenant="_omniguard")
    assert (found.tenant, found.status, found.action, found.enforce) == ("_omniguard", "final", action, False)
    assert found.critique_ref is None


async def test_a_guard_that_assesses_little_still_gives_a_final_verdict(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tenant=reserved_tenant(), guard=Narrow())
    found = await bench.upload(text("tulips"), tenant="_omniguard")
    assert (found.status, found.action, found.assurance) == ("final", "allow", "partial")


async def test_media_under_its_name_are_not_allowed_unexamined(tmp_path: Path) -> None:
    """No probe sends any: whoever does is somebody else, and must not gain by the name."""
    bench = Bench(tmp_path, tenant=reserved_tenant(), guard=Narrow())
    sound = {"id": "m", "modality": "audio", "data": base64.b64encode(silence(1.0)).decode()}
    found = await bench.upload(text("tulips"), sound, tenant="_omniguard")
    assert (found.status, found.reason, found.action, found.enforce) == ("indeterminate", "not_assessed", "review", False)


async def test_it_has_a_quota_like_any_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tenant=reserved_tenant())
    for number in range(30):
        await bench.carry(bench.event(text("tulips"), tenant="_omniguard", content_id=f"c{number}"))
    assert (len(bench.verdicts), len(bench.publisher.records("content-events.backfill"))) == (25, 5)


@pytest.mark.parametrize(
    "uri", ["http://198.51.100.7/a.png", "http://127.0.0.1:9/a.png", "s3://uploads/a.png", "file:///etc/hosts"]
)
async def test_it_makes_no_worker_fetch_anything(uri: str, tmp_path: Path) -> None:
    store = PartStore(fetchers({}.__getitem__))
    with pytest.raises(BadContent) as caught:
        await store.fetch(Part("p", Modality.IMAGE, uri=uri), reserved_tenant().fetch, tmp_path, NEVER)
    assert caught.value.reason is Reason.FORBIDDEN


async def test_the_engine_here_allows_the_harmless_text_whatever_its_number(model: Guard) -> None:
    floor = reserved_tenant().policy.floor
    for _ in range(10):
        sent = texts()
        harmless = await model.ask(text_request(sent["harmless"]))
        harmful = await model.ask(text_request(sent["harmful"]))
        assert harmless.unsafe[0] < floor, sent["harmless"]
        assert harmful.unsafe[0] == 1.0
