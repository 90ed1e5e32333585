"""The English gate alone: no model needed."""

import numpy as np
import pytest

from omniguard.guard.lite import language
from omniguard.guard.lite.text import ENGLISH, HEADS
from omniguard.guard.lite.training.rows import own

with np.load(HEADS, allow_pickle=False) as _stored:
    WEIGHTS, BIAS = _stored["language"].astype(np.float32), float(_stored["language_bias"])


def _sure(text: str) -> bool:
    return language.english(text, WEIGHTS, BIAS) >= ENGLISH


@pytest.mark.parametrize(
    "text",
    [
        "thank you",
        "hi there",
        "I will kill you",
        "good morning",
        "happy birthday!!",
        "I love sushi and ramen",
        "dont be sad bro its gonna be fine",
        "it's so good to see you\U0001f602",
        "don't worry, we're all here with you\u2764\ufe0f",
    ],
)
def test_short_ordinary_english(text: str) -> None:
    assert _sure(text)


@pytest.mark.parametrize(
    "text",
    [
        "Ich gehe heute mit meinen Freunden ins Kino",
        "Das ist mir egal",
        "Te voy a matar",
        "Je ne sais pas quoi faire ce soir",
        "Ik ga je vermoorden",
        "Jag ska döda dig imorgon",
        "Zabiję cię jutro",
        "Saya akan membunuh kamu",
        "Nitakuua kesho asubuhi",  # Swahili: not among the languages it was fitted on
        "Ek is baie lief vir jou",  # nor Afrikaans
        "kya kar rahe ho bhai aaj kal",  # nor Hindi in Latin letters
        "убью тебя завтра",
        "我要杀了你",
        "سأقتلك غدا",
    ],
)
def test_other_languages(text: str) -> None:
    assert not _sure(text)


@pytest.mark.parametrize(
    "text",
    [
        "k1ll 4ll j3ws n0w",
        "1 w1ll k1ll y0u",
        "k i l l y o u r s e l f",
        "aGVsbG8gd29ybGQgdGhpcyBpcyBhIHRlc3Q=",
        "asdf jkl qwer uiop",
        "jvyy xvyy lbh",
        "k\u0456ll them",
        "thank you for the lovely evening with the kids kill\u2800them\u2800all",  # a blank of Braille is no white space
        "thank you for the lovely evening with the kids " + "killthemallandburntheirhouses" * 2,
        "",
        "123 456",
        "😂😂",
    ],
)
def test_codes_and_scrambles(text: str) -> None:
    assert not _sure(text)


def test_a_foreign_line_inside_english_makes_the_whole_doubtful() -> None:
    english = "We had such a lovely time at the lake and the children want to go back next week. "
    assert _sure(english * 3)
    assert not _sure(english * 2 + "Ich werde euch alle morgen früh umbringen, ihr Schweine. " + english)


def test_look_alike_forms_of_letters_are_read_as_the_letters() -> None:
    assert _sure("\uff54\uff48\uff41\uff4e\uff4b \uff59\uff4f\uff55 very much")  # full-width
    assert _sure("thank\u200b you very\u200b much")  # zero-width


@pytest.mark.parametrize("name", ["everyday_test", "lookalike_test"])
def test_nearly_all_english_posts_pass(name: str) -> None:
    assert np.mean([_sure(row.text) for row in own(name)]) >= 0.97


def test_every_word_is_in_one_stretch() -> None:
    text = " ".join(f"w{i}x" for i in range(37))
    runs = list(language.stretches(text))
    assert sum(len(r) for r in runs) == 37
    assert min(len(r) for r in runs) >= language.STRETCH // 2
