"""Requests that the guard model refuses, in this process and in genuine Triton: each with a reason, and the model lives."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

from guard_asking import Guard, audio, picture, refused, text, video
from guard_samples import HARMLESS, flac, jpeg, pcm16, photograph
from omniguard.domain.taxonomy import TEST

pytestmark = pytest.mark.timeout(120)


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
        (text("x", deadline_ms=10**400), ["deadline_ms"]),  # would not fit a float, hence never end
        ({"mode": "label", "parts": [{"id": "t", "modality": "text", "text": "x"}] * 257}, ["parts", "found 257", "at most 256"]),
        (text("x", categories_from=1.5), ["categories_from"]),
        ({"mode": "label", "parts": [{"id": "t", "modality": "text"}]}, ["parts[0].text", "found none"]),
        (text("y" * 9_000), ["parts[0].text", "found 9000 characters", "at most 8000"]),
        ({"mode": "label", "parts": [{"id": "t", "modality": "smell", "text": "x"}]}, ["parts.0.modality"]),
        (picture(), ["parts[0].media", "[0, 1)", "the 0 elements"]),
        ({"mode": "label", "parts": [{"id": "i", "modality": "image", "encoding": "png"}]}, ["parts[0].media", "found none"]),
    ],
)
async def test_a_request_that_does_not_hold_together_is_told_why(model: Guard, request_: Any, words: list[str]) -> None:
    refused(await model.ask(request_), "invalid_request", *words)


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
async def test_media_that_do_not_fit_the_parts_are_told_why(model: Guard, request_: Any, count: int, words: list[str]) -> None:
    refused(await model.ask(request_, [jpeg(photograph())] * count), "invalid_request", *words)


def bomb(pixels: int) -> bytes:
    """A PNG of so many pixels each way in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    side = pixels.to_bytes(4, "big")
    body = zlib.compress(bytes(1 << 20))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", side + side + b"\x08\x02\0\0\0") + chunk(b"IDAT", body) + chunk(b"IEND", b"")


async def test_hostile_bytes_are_refused_and_the_model_lives(model: Guard) -> None:
    whole = jpeg(photograph())
    seconds = pcm16(np.zeros(31 * 16_000))
    asked: list[tuple[Any, bytes, str]] = [
        (picture("png"), bomb(10_000), "10000 by 10000"),
        (picture("png"), bomb(1 << 15), "expected at most 602112 pixels"),
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
        refused(await model.ask(request, [data]), "invalid_request", words)
    assert (await model.ask(text(HARMLESS))).kinds == ["label"]


async def test_an_empty_clip_and_an_empty_text_are_answered(model: Guard) -> None:
    assert (await model.ask(audio(), [b""])).first.label == "safe"
    empty = (await model.ask(text(""))).first
    assert (empty.label, empty.assessed) == ("safe", {"text": (TEST,)})
