"""The guard model's contract: one suite, on the service in this process and on the model in genuine Triton."""

from __future__ import annotations

import asyncio
import io
import itertools
import math
import time
import wave
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from guard_asking import Direct, Guard, Reply, Triton, audio, picture, text, video
from guard_samples import GERMAN, HARMFUL, HARMLESS, WEAPONS, flac, jpeg, pcm16, photograph, speech, writing
from omniguard.domain.taxonomy import CATEGORIES, TEST, TEST_PHRASE
from omniguard.guard import engines, trigger
from omniguard.guard.lite import table
from omniguard.guard.service import GuardService
from omniguard.guard.wire import Capabilities, CategoriesEvent, CritiqueEvent, ErrorEvent, LabelEvent, Priority

pytestmark = pytest.mark.timeout(120)
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def lite_service() -> Iterator[GuardService]:
    service = GuardService(engines.load({"engine": "lite", "media_workers": "2", "max_in_flight": "64"}))
    yield service
    service.close()


@pytest.fixture(params=["direct", pytest.param("triton", marks=pytest.mark.triton)])
async def guard(request: pytest.FixtureRequest) -> AsyncIterator[Guard]:
    if request.param == "direct":
        yield Direct(request.getfixturevalue("lite_service"))
        return
    model = Triton(request.getfixturevalue("triton_url"))
    yield model
    await model.close()


def novel(samples: Any) -> bytes:
    """A clip that nobody has asked for before, so that nothing is remembered: its first samples are random."""
    changed = np.array(samples)
    changed[:32] = np.random.default_rng().uniform(-0.01, 0.01, 32)
    return pcm16(changed)


def long() -> bytes:
    """Speech of 8 s: seconds of work on any machine."""
    return novel(speech("harmful"))


def refused(reply: Reply, code: str, *words: str) -> None:
    """One final error event, with NaN beside it."""
    assert reply.kinds == ["error"]
    assert isinstance(reply.last, ErrorEvent)
    assert reply.finals == [True]
    assert all(math.isnan(u) for u in reply.unsafe)
    assert reply.last.code == code, reply.last
    for word in words:
        assert word in reply.last.message, reply.last.message


# Events, tensors, order


async def test_a_safe_label_is_the_only_event(guard: Guard) -> None:
    reply = await guard.ask(text(HARMLESS))
    assert isinstance(reply.first, LabelEvent)
    assert (reply.kinds, reply.finals) == (["label"], [True])
    assert (reply.first.label, reply.first.sequence, reply.first.final, reply.first.mass) == ("safe", 0, True, None)
    assert reply.unsafe[0] == pytest.approx(reply.first.unsafe, abs=1e-6)
    assert reply.first.unsafe < 0.5


async def test_an_unsafe_label_comes_first_and_categories_follow(guard: Guard) -> None:
    reply = await guard.ask(text(HARMFUL))
    assert (reply.kinds, reply.finals) == (["label", "categories"], [False, True])
    label, named = reply.events
    assert isinstance(label, LabelEvent)
    assert isinstance(named, CategoriesEvent)
    assert (label.label, label.sequence, named.sequence) == ("unsafe", 0, 1)
    assert label.unsafe >= 0.5
    assert math.isnan(reply.unsafe[1])
    assert {n.name for n in named.categories} & WEAPONS
    assert max(n.confidence for n in named.categories) == pytest.approx(label.unsafe)
    assert [n.confidence for n in named.categories] == sorted((n.confidence for n in named.categories), reverse=True)
    spans = [e for e in label.evidence if e.kind == "text_span" and e.category in WEAPONS]
    assert spans
    assert all(e.start == 0 and e.end == len(HARMFUL) for e in spans)


async def test_categories_follow_from_the_policys_lowest_threshold_on(guard: Guard) -> None:
    score = (await guard.ask(text(HARMFUL))).first.unsafe
    below = await guard.ask(text(HARMFUL, categories_from=min(1.0, score + 1e-6)))
    at = await guard.ask(text(HARMFUL, categories_from=score))
    assert (below.kinds, at.kinds) == (["label"], ["label", "categories"])
    low = await guard.ask(text(HARMLESS, categories_from=0.0))
    assert low.kinds == ["label", "categories"]
    assert len(low.last.categories) == 1  # no head is at its operating point: the top one is named


async def test_only_the_policys_categories_count(guard: Guard) -> None:
    sexual = [{"name": "sexual_content", "description": "Pornography."}]
    everything = [{"name": name, "description": "…"} for name in CATEGORIES]
    narrow = (await guard.ask(text(HARMFUL, policy=sexual))).first
    wide = (await guard.ask(text(HARMFUL, policy=everything))).first
    assert narrow.unsafe < wide.unsafe
    assert {e.category for e in narrow.evidence} <= {"sexual_content"}
    assert wide.unsafe == (await guard.ask(text(HARMFUL))).first.unsafe


async def test_a_label_names_the_model_and_what_the_request_cost(guard: Guard) -> None:
    can = (await guard.ask({"mode": "capabilities"})).first
    label = (await guard.ask(text(HARMLESS))).first
    assert label.digest == can.digest
    assert label.usage.compute_ms > 0
    assert label.usage.queue_ms >= 0
    assert label.usage.in_flight >= 1


async def test_capabilities_say_what_plans_are_made_from(guard: Guard) -> None:
    reply = await guard.ask({"mode": "capabilities"})
    can = reply.first
    assert isinstance(can, Capabilities)
    assert reply.finals == [True]
    assert (can.engine, can.label_first, can.grid, can.sample_rate) == ("lite", True, 28, 16_000)
    assert (can.max_frames, can.max_pixels, can.max_audio_seconds, can.max_in_flight) == (32, 602_112, 30.0, 64)
    assert set(can.modalities) == {"text", "image", "audio", "video"}
    for modality in can.modalities:
        assert set(can.assessed[modality]) == table.assessed(modality) | {TEST}


async def test_capabilities_do_not_wait_in_the_queue(guard: Guard) -> None:
    busy = [asyncio.create_task(guard.ask(audio(), [long()])) for _ in range(2)]
    assert (await guard.ask({"mode": "capabilities"})).kinds == ["capabilities"]
    assert not any(task.done() for task in busy)
    await asyncio.gather(*busy)


# What is judged


async def test_text_that_is_not_surely_english_is_scored_but_not_vouched_for(guard: Guard) -> None:
    english = (await guard.ask(text(HARMLESS))).first
    german = (await guard.ask(text(GERMAN))).first
    assert set(english.assessed["text"]) == table.assessed("text") | {TEST}
    assert set(german.assessed["text"]) == {TEST}


async def test_a_part_nobody_can_vouch_for_spoils_its_modality(guard: Guard) -> None:
    both = text(HARMLESS)
    both["parts"].append({"id": "u", "modality": "text", "text": GERMAN})
    assert (await guard.ask(both)).first.assessed == {"text": (TEST,)}


async def test_a_photograph_is_safe_and_assessed_for_nothing(guard: Guard) -> None:
    reply = await guard.ask(picture(), [jpeg(photograph())])
    assert (reply.kinds, reply.first.label, reply.first.assessed) == (["label"], "safe", {"image": (TEST,)})


async def test_harmful_words_in_a_picture_count(guard: Guard) -> None:
    reply = await guard.ask(picture(), [writing()])
    assert reply.kinds == ["label", "categories"]
    assert {n.name for n in reply.last.categories} & WEAPONS
    assert {e.kind for e in reply.first.evidence} == {"ocr"}
    assert reply.first.assessed == {"image": (TEST,)}


@pytest.mark.parametrize("encoding", ["PNG", "WEBP"])
async def test_every_encoding_of_the_contract_is_read(guard: Guard, encoding: str) -> None:
    out = io.BytesIO()
    Image.open(io.BytesIO(writing())).save(out, encoding)
    assert (await guard.ask(picture(encoding.lower()), [out.getvalue()])).first.label == "unsafe"


async def test_harm_in_a_video_is_found_at_its_frame(guard: Guard) -> None:
    frames = [jpeg(photograph())] * 3 + [writing()] * 2
    reply = await guard.ask(video(5, start=12.0), frames)
    assert reply.first.label == "unsafe"
    assert {(e.kind, e.start) for e in reply.first.evidence} == {("ocr", 15.0)}
    assert reply.first.assessed == {"video": (TEST,)}


@pytest.mark.parametrize("form", ["pcm16", "flac"])
async def test_harmful_speech_is_found_with_its_seconds(guard: Guard, form: str) -> None:
    clip = flac("harmful") if form == "flac" else pcm16(speech("harmful"))
    reply = await guard.ask(audio(form, t0=6.0), [clip])
    assert reply.kinds == ["label", "categories"]
    assert {n.name for n in reply.last.categories} & WEAPONS
    for found in reply.first.evidence:
        assert found.kind == "speech"
        assert 6.0 <= found.start < found.end <= 6.0 + 8.2
    assert set(reply.first.assessed["audio"]) == table.assessed("audio") | {TEST}


async def test_harmless_speech_is_safe(guard: Guard) -> None:
    assert (await guard.ask(audio(), [pcm16(speech("harmless"))])).first.label == "safe"


@pytest.mark.parametrize("what", ["german", "silence", "noise"])
async def test_sound_without_sure_english_is_not_assessed(guard: Guard, what: str) -> None:
    hiss = np.random.default_rng(5).normal(0, 0.1, 48_000)
    samples = {"german": speech("german"), "silence": np.zeros(48_000), "noise": hiss}[what]
    assert (await guard.ask(audio(), [pcm16(samples)])).first.assessed == {"audio": (TEST,)}


async def test_parts_are_judged_together(guard: Guard) -> None:
    parts = [
        {"id": "t", "modality": "text", "text": HARMLESS},
        {"id": "v", "modality": "video", "media": [0, 2], "encoding": "jpeg", "frame_times": [0.0, 1.0]},
        {"id": "a", "modality": "audio", "media": [2, 3], "encoding": "pcm16", "sample_rate": 16_000},
    ]
    media = [jpeg(photograph()), jpeg(photograph("cat")), pcm16(speech("harmful"))]
    joint = (await guard.ask({"mode": "label", "parts": parts}, media)).first
    alone = (await guard.ask(audio(), media[2:])).first
    assert joint.unsafe == alone.unsafe
    assert set(joint.assessed) == {"text", "video", "audio"}
    assert {e.kind for e in joint.evidence} == {"speech"}


async def test_the_same_question_has_the_same_answer(guard: Guard) -> None:
    for request, media in ((text(HARMFUL), []), (picture(), [writing()]), (audio(), [pcm16(speech("harmful"))])):
        first = await guard.ask({**request, "tenant": "a"}, media)
        other = await guard.ask({**request, "tenant": f"b{time.time_ns()}"}, media)  # nothing is remembered across tenants
        assert first.first.unsafe == other.first.unsafe
        assert first.first.evidence == other.first.evidence


# The test trigger


async def test_the_phrase_the_picture_and_the_tone_raise_test(guard: Guard) -> None:
    with wave.open(io.BytesIO(trigger.make_tone())) as file:
        tone = file.readframes(file.getnframes())
    asked = [
        (text(f"so {TEST_PHRASE}!"), [], "test_phrase"),
        (picture("png"), [trigger.make_picture()], "test_picture"),
        (video(2, "png"), [trigger.make_picture()] * 2, "test_picture"),
        (audio(), [tone], "test_tone"),
    ]
    for request, media, kind in asked:
        reply = await guard.ask({**request, "policy": [{"name": "hate", "description": "…"}]}, media)
        assert (reply.kinds, reply.finals) == (["label", "categories"], [False, True])
        assert (reply.first.label, reply.first.unsafe, reply.unsafe[0]) == ("unsafe", 1.0, 1.0)
        assert (reply.last.categories[0].name, reply.last.categories[0].confidence) == (TEST, 1.0)
        assert reply.first.evidence[0].kind == kind
        critique = await guard.ask({**request, "mode": "critique"}, media)
        assert critique.first.text.startswith("This is a test: ")


async def test_the_trigger_stands_beside_what_the_engine_finds(guard: Guard) -> None:
    reply = await guard.ask(text(f"{HARMFUL} {TEST_PHRASE}"))
    names = [n.name for n in reply.last.categories]
    assert names[0] == TEST
    assert set(names) & WEAPONS


# Critique


async def test_a_critique_is_composed_from_measurements_and_quotes_nothing(guard: Guard) -> None:
    request = {**text(HARMFUL), "mode": "critique", "label": "unsafe", "categories": ["indiscriminate_weapons"]}
    reply = await guard.ask(request)
    assert set(reply.kinds) == {"critique"}
    assert len(reply.events) > 1
    assert reply.finals == [False] * (len(reply.events) - 1) + [True]
    assert [e.sequence for e in reply.events if isinstance(e, CritiqueEvent)] == list(range(len(reply.events)))
    whole = "".join(e.text for e in reply.events if isinstance(e, CritiqueEvent))
    assert "composed from measurements by small models" in whole
    assert "indiscriminate weapons, the text, characters 0 to" in whole
    assert not any(word in whole for word in ("pipe", "bomb", "crowd"))
    assert not reply.last.conditioned


async def test_a_critique_says_if_the_label_was_not_the_models_own(guard: Guard) -> None:
    reply = await guard.ask({**text(HARMLESS), "mode": "critique", "label": "unsafe"})
    assert all(e.conditioned for e in reply.events if isinstance(e, CritiqueEvent))


# What is refused


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (b"", ["REQUEST", "Invalid JSON"]),
        (b"{", ["REQUEST", "Invalid JSON"]),
        (b"\xff\xfe", ["REQUEST"]),
        (b"[]", ["REQUEST", "GuardRequest"]),
        ({}, ["mode", "required"]),
        ({"mode": "sing"}, ["mode", "'label', 'critique' or 'capabilities'"]),
        ({"mode": "label"}, ["parts", "at least one"]),
        (text("x", priority=77), ["priority", "less than or equal to 9"]),
        (text("x", deadline_ms=-1), ["deadline_ms"]),
        (text("x", categories_from=1.5), ["categories_from"]),
        ({"mode": "label", "parts": [{"id": "t", "modality": "text"}]}, ["parts[0].text", "found none"]),
        (text("y" * 9_000), ["parts[0].text", "found 9000 characters", "at most 8000"]),
        ({"mode": "label", "parts": [{"id": "t", "modality": "smell", "text": "x"}]}, ["parts.0.modality"]),
        (picture(), ["parts[0].media", "[0, 1)", "the 0 elements"]),
        ({"mode": "label", "parts": [{"id": "i", "modality": "image", "encoding": "png"}]}, ["parts[0].media", "found none"]),
    ],
)
async def test_a_request_that_does_not_hold_together_is_told_why(guard: Guard, request_: Any, words: list[str]) -> None:
    refused(await guard.ask(request_), "invalid_request", *words)


@pytest.mark.parametrize(
    ("request_", "count", "words"),
    [
        (video(3), 2, ["[0, 3)", "the 2 elements"]),
        ({"mode": "label", "parts": [{"id": "i", "modality": "image", "media": [1, 1], "encoding": "jpeg"}]}, 2, ["[1, 1)"]),
        ({"mode": "label", "parts": [{"id": "i", "modality": "image", "media": [-1, 1], "encoding": "jpeg"}]}, 2, ["[-1, 1)"]),
        ({"mode": "label", "parts": [{"id": "i", "modality": "image", "media": [0, 2], "encoding": "jpeg"}]}, 2, ["exactly one"]),
        (picture("pcm16"), 1, ["encoding", "pcm16", "jpeg, png, webp"]),
        (audio("jpeg"), 1, ["encoding", "jpeg", "pcm16, flac"]),
        (audio(rate=None), 1, ["sample_rate", "None"]),
        (audio(rate=7), 1, ["sample_rate", "7"]),
        (video(33), 33, ["33 frames", "at most 32"]),
        ({**video(2), "parts": [{**video(2)["parts"][0], "frame_times": [0.0]}]}, 2, ["frame_times", "found 1 for 2"]),
    ],
)
async def test_media_that_do_not_fit_the_parts_are_told_why(guard: Guard, request_: Any, count: int, words: list[str]) -> None:
    refused(await guard.ask(request_, [jpeg(photograph())] * count), "invalid_request", *words)


def bomb(pixels: int) -> bytes:
    """A PNG of so many pixels each way in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    side = pixels.to_bytes(4, "big")
    body = zlib.compress(bytes(1 << 20))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", side + side + b"\x08\x02\0\0\0") + chunk(b"IDAT", body) + chunk(b"IEND", b"")


async def test_hostile_bytes_are_refused_and_the_model_lives(guard: Guard) -> None:
    whole = jpeg(photograph())
    seconds = pcm16(np.zeros(31 * 16_000))
    asked: list[tuple[Any, bytes, str]] = [
        (picture("png"), bomb(10_000), "10000 by 10000"),
        (picture("png"), bomb(1 << 15), "far over"),
        (picture(), jpeg(photograph())[: len(whole) // 2], "no whole jpeg"),
        (picture(), b"", "no whole jpeg"),
        (picture("png"), whole, "no whole png"),
        (picture("webp"), b"RIFF\x00\x00\x00\x00WEBPVP8 ", "no whole webp"),
        (video(1), b"\xff\xd8" + bytes(100), "no whole jpeg"),
        (audio(), seconds, "31.0 s of sound"),
        (audio(), b"\x00", "whole samples"),
        (audio("flac"), b"fLaC" + bytes(50), "flac"),
        (audio("flac"), flac("harmless")[:300], "flac"),
        (audio("flac"), b"", "flac"),
    ]
    for request, data, words in asked:
        refused(await guard.ask(request, [data]), "invalid_request", words)
    assert (await guard.ask(text(HARMLESS))).kinds == ["label"]


async def test_an_empty_clip_and_an_empty_text_are_answered(guard: Guard) -> None:
    assert (await guard.ask(audio(), [b""])).first.label == "safe"
    empty = (await guard.ask(text(""))).first
    assert (empty.label, empty.assessed) == ("safe", {"text": (TEST,)})


# The queue


async def test_thirty_two_requests_are_held_at_once(guard: Guard) -> None:
    replies = await asyncio.gather(*(guard.ask(text(f"{HARMLESS} {next(_numbers)}{time.time_ns()}")) for _ in range(32)))
    assert all(reply.kinds == ["label"] for reply in replies)
    assert max(reply.first.usage.in_flight for reply in replies) >= 24


async def test_text_does_not_wait_for_speech(guard: Guard) -> None:
    busy = [asyncio.create_task(guard.ask(audio(), [long()])) for _ in range(2)]
    await held(guard, 3)
    for number in range(5):
        assert (await guard.ask(text(f"{HARMLESS} {number} {time.time_ns()}"))).kinds == ["label"]
    assert not any(task.done() for task in busy)
    await asyncio.gather(*busy)


async def held(guard: Guard, at_least: int, at_most: int = 64) -> None:
    """Wait until the model holds so many requests, this one included."""
    until = time.monotonic() + 60
    while not at_least <= (found := (await guard.ask(text(f"{time.time_ns()}"))).first.usage.in_flight) <= at_most:
        assert time.monotonic() < until, f"holds {found}, expected {at_least} to {at_most}"


async def test_over_the_limit_requests_are_refused_and_the_rest_answered(guard: Guard) -> None:
    replies = await asyncio.gather(*(guard.ask(text(f"{HARMLESS} {next(_numbers)}{time.time_ns()}")) for _ in range(120)))
    kinds = [reply.kinds[0] for reply in replies]
    assert kinds.count("label") >= 64
    full = [reply for reply in replies if reply.kinds == ["error"]]
    assert full
    for reply in full:
        refused(reply, "unavailable", "64 requests")
    assert (await guard.ask(text(HARMLESS))).kinds == ["label"]


async def test_a_deadline_ends_a_request_that_waits(guard: Guard) -> None:
    busy = [asyncio.create_task(guard.ask(audio(), [long()])) for _ in range(2)]
    await held(guard, 3)
    refused(await guard.ask(audio(deadline_ms=100), [long()]), "deadline", "100 ms", "waiting")
    assert not any(task.done() for task in busy)
    refused(await guard.ask(text("x", deadline_ms=0)), "deadline", "0 ms")
    await asyncio.gather(*busy)


async def test_a_deadline_ends_a_request_that_is_computed(guard: Guard) -> None:
    refused(await guard.ask(audio(deadline_ms=150), [long()]), "deadline", "150 ms", "computed")
    await held(guard, 1, 1)


async def test_a_deadline_that_is_kept_changes_nothing(guard: Guard) -> None:
    assert (await guard.ask(text(HARMLESS, deadline_ms=30_000))).kinds == ["label"]


async def test_the_smaller_priority_goes_first_and_equals_in_order(guard: Guard) -> None:
    busy = [asyncio.create_task(guard.ask(audio(), [long()])) for _ in range(2)]
    await held(guard, 3)
    order: list[str] = []

    async def ask(name: str, priority: int) -> None:
        await guard.ask(picture(priority=priority, tenant=f"{name}{time.time_ns()}"), [jpeg(photograph())])
        order.append(name)

    waiting = []
    for name, priority in (("late", Priority.LATE_LABEL), ("backfill", Priority.BACKFILL_LABEL), ("live 1", 1), ("live 2", 1)):
        waiting.append(asyncio.create_task(ask(name, priority)))
        await held(guard, 3 + len(waiting))
    await asyncio.gather(*waiting, *busy)
    # Two are computed side by side, so neighbours may swap.
    assert order.index("live 1") < order.index("backfill") or order.index("live 2") < order.index("backfill")
    assert order.index("late") >= 2
    assert set(order[:2]) <= {"live 1", "live 2", "backfill"}


async def test_a_cancelled_request_frees_its_place(guard: Guard) -> None:
    busy = [asyncio.create_task(guard.ask(audio(), [long()])) for _ in range(2)]
    await held(guard, 3)
    gone = [asyncio.create_task(guard.ask(audio(), [long()])) for _ in range(10)]
    await held(guard, 13)
    for task in gone:
        task.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    await held(guard, 1, 3)
    assert not all(task.done() for task in busy)
    await asyncio.gather(*busy)
