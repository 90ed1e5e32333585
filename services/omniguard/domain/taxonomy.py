"""Category names that every policy, engine and verdict shares (OmniGuard, section 3: Llama Guard 3's, cut to twelve)."""

from __future__ import annotations

CATEGORIES = (
    "violent_crimes",
    "non_violent_crimes",
    "sex_related_crimes",
    "child_sexual_exploitation",
    "defamation",
    "specialized_advice",
    "privacy",
    "intellectual_property",
    "indiscriminate_weapons",
    "hate",
    "suicide_self_harm",
    "sexual_content",
)
TEST = "test"
"""Raised by our own phrase, picture and tone alone, so that an operator can prove the whole path."""
TEST_PHRASE = "OMNIGUARD-STANDARD-TEST-PHRASE-4C7A-91E2-D05B"
"""The phrase. Every engine and every twin raises `test` for it."""
UNCATEGORIZED = "uncategorized"
"""Unsafe, and no name of the policy fits; the policy says what that means."""


def holds_test_phrase(text: str) -> bool:
    """True if the text holds the phrase; case, spaces and punctuation do not matter."""
    return _bare(TEST_PHRASE) in _bare(text)


def _bare(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())
