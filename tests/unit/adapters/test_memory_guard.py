from __future__ import annotations

import pytest

from omniguard.adapters.memory_guard import MemoryGuard
from omniguard.domain.taxonomy import TEST, TEST_PHRASE
from omniguard.errors import Reason, Retryable
from omniguard.guard.wire import GuardRequest, Mode, WireCategory, WirePart


def asking(*parts: WirePart, deadline_ms: int | None = None) -> GuardRequest:
    policy = (WireCategory(name="hate", description="."),)
    return GuardRequest(mode=Mode.LABEL, policy=policy, parts=parts, deadline_ms=deadline_ms)


def said(text: str) -> WirePart:
    return WirePart(id="p", modality="text", text=text)


async def test_the_phrase_may_be_broken_by_case_and_signs() -> None:
    text = said(f"see {TEST_PHRASE.replace('-', ' ').lower()}!")
    found = await MemoryGuard().label(asking(text), ())
    assert [c.name for c in found.categories] == [TEST]
    assert found.event.unsafe == 1.0


async def test_a_part_is_judged_by_its_own_media() -> None:
    guard = MemoryGuard({"BadPixel": ("hate", 0.9)}, assesses=("image",))
    frame = WirePart(id="i", modality="image", media=(1, 2), encoding="jpeg")
    assert (await guard.label(asking(frame), [b"..badpixel..", b"clean"])).event.unsafe == 0.0
    found = await guard.label(asking(frame), [b"clean", b"..BADPIXEL.."])
    assert found.event.unsafe == 0.9
    assert found.event.assessed == {"image": ("hate", TEST)}


async def test_under_the_threshold_no_category_is_named() -> None:
    guard = MemoryGuard({"rude": ("hate", 0.4), "vile": ("hate", 0.7)})
    mild = await guard.label(asking(said("rude")), ())
    assert (mild.event.unsafe, mild.event.final, mild.categories) == (0.4, True, ())
    both = await guard.label(asking(said("rude and vile")), ())
    assert [(c.name, c.confidence) for c in both.categories] == [("hate", 0.7)]


async def test_it_plays_delays_and_failures() -> None:
    twin = MemoryGuard({"hateword": ("hate", 0.75)}, script=[Retryable(Reason.GUARD_UNAVAILABLE, "as scripted"), None])
    with pytest.raises(Retryable):
        await twin.label(asking(said("x")), ())
    found = await twin.label(asking(said("a HATEWORD here")), ())
    assert [(c.name, c.confidence) for c in found.categories] == [("hate", 0.75)]
    assert found.event.evidence[0].start == 2
    twin.delay = float("inf")
    with pytest.raises(Retryable) as caught:
        await twin.label(asking(said("x"), deadline_ms=50), ())
    assert caught.value.reason is Reason.DEADLINE
    assert [call.request.parts[0].text for call in twin.calls] == ["x", "a HATEWORD here", "x"]
