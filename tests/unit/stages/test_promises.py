"""A verdict that names a critique is followed by it or by why there is none, whatever comes in between."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from omniguard.adapters.memory_guard import MemoryGuard
from omniguard.domain.reason import Reason
from omniguard.domain.record import Partition
from omniguard.domain.scores import Critique
from omniguard.errors import BadContent, Retryable
from unit.stages.rig import WORDS, Rig, rig, upload

P0 = Partition("content-events", 0)


class Slow(MemoryGuard):
    """Writes no critique until it is let go; fails with `error` where there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(WORDS)
        self.go, self.asked, self.cancelled, self.error = asyncio.Event(), 0, 0, error

    async def critique(self, request: Any, media: Any, *, affinity: str = "") -> Critique:
        self.asked += 1
        if self.error is not None:
            raise self.error
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return await super().critique(request, media, affinity=affinity)


def deletion(r: Rig, content_id: str = "c1", version: int = 1) -> Any:
    return r.record({"tenant": "acme", "content_id": content_id, "content_version": version}, kind="content-deleted")


@pytest.mark.parametrize(
    ("error", "none"),
    [
        (Retryable(Reason.GUARD_UNAVAILABLE, "as scripted"), "unavailable"),
        (Retryable(Reason.DEADLINE, "as scripted"), "timeout"),
        (BadContent(Reason.UNSUPPORTED, "as scripted"), "unavailable"),
        (ZeroDivisionError("a bug"), "unavailable"),
    ],
)
async def test_a_guard_that_fails_is_named_as_the_reason(tmp_path: Path, error: Exception, none: str) -> None:
    async with rig(tmp_path, guard=Slow(error)) as r:
        await r.carry(r.record(upload("hateword")))
        assert [c.none for c in r.critiques] == [none]
        assert not r.window.crashed.done()


async def test_a_guard_that_hangs_costs_the_time_limit_and_a_full_queue_sheds(tmp_path: Path) -> None:
    async with rig(tmp_path, guard=Slow(), critique_timeout=0.2, critique_queue=1) as r:
        for number in range(5):
            await r.take(r.record(upload(f"hateword {number}", f"c{number}")))
        await r.until(lambda: r.window.open == 0)
        assert len(r.verdicts) == 5
        assert sorted(c.none or "" for c in r.critiques) == ["shed", "shed", "shed", "timeout", "timeout"]
        assert r.critic.waiting == 0
        assert r.window.take_committable() == {P0: 5}


async def test_hung_critiques_do_not_hold_the_label_window(tmp_path: Path) -> None:
    async with rig(tmp_path, guard=Slow(), critique_queue=64) as r:
        for number in range(20):  # the window takes 8
            await r.take(r.record(upload(f"hateword {number}", f"c{number}")))
        await r.until(lambda: len(r.verdicts) == 20)
        assert r.window.waiting_for_verdict == 0
        assert r.window.bytes_held == 0


async def test_a_drain_answers_what_cannot_be_written_any_more(tmp_path: Path) -> None:
    guard = Slow()
    async with rig(tmp_path, guard=guard) as r:
        await r.take(r.record(upload("hateword")))
        await r.until(lambda: guard.asked)
        assert await r.intake.drain(0.4) == 0
        assert [c.none for c in r.critiques] == ["unavailable"]
        assert guard.cancelled == 1
        assert r.window.take_committable() == {P0: 1}


async def test_a_promise_that_a_drain_cuts_off_leaves_the_start_counted(tmp_path: Path) -> None:
    """The verdict is on its way to a broker that is away: the next owner must know that it may have come through."""
    async with rig(tmp_path) as r:
        r.publisher.suspend()
        record = r.record(upload("hateword"))
        await r.take(record)
        await r.until(lambda: r.guard.calls and next(iter(r.window._running.values())).owes)
        assert await r.intake.drain(0.01) == 1
        assert await r.store.attempt(record.id) == 2


async def test_the_next_start_settles_a_promise_that_it_does_not_repeat(tmp_path: Path) -> None:
    """The guard changes its mind between two deliveries; the first final stands, with a critique that nobody else answers."""
    async with rig(tmp_path, words={}) as r:
        record = r.record(upload("hateword"))
        await r.store.attempt(record.id)
        await r.carry(record)
        (verdict,), (answer,) = r.verdicts, r.critiques
        assert verdict.critique_ref is None
        assert (answer.verdict_id, answer.none) == (verdict.verdict_id, "unavailable")


async def test_a_first_start_settles_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        await r.carry(r.record(upload("hello")))
        assert not r.critiques


async def test_a_deletion_does_not_cut_off_a_verdict_that_is_on_its_way(tmp_path: Path) -> None:
    """The producer may have it already: cut off then, the promise would be out and nobody would keep it."""
    async with rig(tmp_path) as r:
        r.publisher.suspend()
        await r.take(r.record(upload("hateword")))
        await r.until(lambda: r.guard.calls and next(iter(r.window._running.values())).owes)
        await r.take(deletion(r))
        r.publisher.resume()
        await r.until(lambda: r.window.open == 0)
        assert [v.status for v in r.verdicts] == ["final", "retracted"]
        assert [c.none for c in r.critiques] == ["unavailable"]


async def test_nothing_of_a_deleted_content_is_kept_by_a_critique_that_was_being_written(tmp_path: Path) -> None:
    guard = Slow()
    async with rig(tmp_path, guard=guard) as r:
        await r.take(r.record(upload("hateword")))
        await r.until(lambda: guard.asked)
        await r.take(deletion(r))
        guard.go.set()
        await r.until(lambda: r.window.open == 0)
        await r.carry(r.record(upload("hateword", content_version=2)))
        assert [v.cache.hit for v in r.verdicts] == [False, False, False]
        assert r.critiques[0].none == "unavailable"


async def test_a_deletion_of_an_older_version_or_another_content_cancels_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        r.guard.delay = 0.05
        newer = r.record(upload("hello", content_version=2))
        await r.take(newer)
        await r.take(deletion(r, version=1))
        stranger = r.record(upload("hello", "other"), key=b"acme|c1")  # its key lies: it is refused, with a dead letter
        await r.take(stranger)
        await r.take(deletion(r, version=1))
        await r.until(lambda: r.window.open == 0)
        assert {(v.content_id, v.content_version, v.status) for v in r.verdicts} == {
            ("c1", 2, "final"),
            ("c1", 1, "retracted"),
            ("other", 1, "indeterminate"),
        }


async def test_a_bug_while_a_kept_assessment_is_decoded_again_costs_the_critique_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    guard = Slow(Retryable(Reason.GUARD_UNAVAILABLE, "as scripted"))  # so that the assessment is kept without a critique
    async with rig(tmp_path, guard=guard) as r:
        await r.carry(r.record(upload("hateword")))
        monkeypatch.setattr("omniguard.stages.examine.Examine.again", broken)
        await r.carry(r.record(upload("hateword", "c2")))
        assert [v.cache.hit for v in r.verdicts] == [False, True]
        assert [c.none for c in r.critiques] == ["unavailable", "unavailable"]


async def test_a_kept_critique_is_published_again_without_asking(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        await r.carry(r.record(upload("hateword")))
        asked = len(r.guard.calls)
        await r.carry(r.record({**upload("hateword", "c2"), "parts": [{"id": "other", "modality": "text", "text": "hateword"}]}))
        assert len(r.guard.calls) == asked
        assert r.critiques[1].text == r.critiques[0].text
        assert [s.part for s in r.critiques[1].segments] == ["other"]
