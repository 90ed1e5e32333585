"""A critique put together from measurements. It says where and how much, never what was said or shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from omniguard.guard.wire import WireEvidence

__all__ = ["compose"]

_PLACES = {
    "text_span": "the text, characters {start:.0f} to {end:.0f}",
    "ocr": "writing in a picture",
    "speech": "speech from {start:.1f} s to {end:.1f} s",
    "frame": "a picture",
}
_MOST = 6


def compose(scores: Mapping[str, float], evidence: Sequence[WireEvidence], categories: Sequence[str]) -> Iterator[str]:
    """Sentences in plain English; `categories` are those that the asker wants explained (all that reached evidence, if empty)."""
    top = sorted(scores, key=lambda c: (-scores[c], c))
    wanted = [c for c in categories if c in scores] or [c for c in top[:3] if any(e.category == c for e in evidence)]
    shown = [e for e in evidence if e.category in wanted][:_MOST]
    for item in shown:
        yield f"For {_plain(item.category or '')}, {_place(item)} scored {item.score or 0.0:.2f}."
    if not shown and top:
        yield f"No single place stands out: the highest score is {scores[top[0]]:.2f}, for {_plain(top[0])}."
    if not top:
        yield "None of the models here measures anything on this kind of content."
    yield "Scores run from 0 to 1 and are no probabilities; 0.50 is the point from which a category is named."
    yield "This note is composed from measurements by small models; no model has written or checked it."


def _place(item: WireEvidence) -> str:
    if item.kind in ("ocr", "frame"):
        return _PLACES[item.kind] + (f" at {item.start:.1f} s" if item.start is not None else "")
    if item.start is None or item.end is None:
        return {"text_span": "the text", "speech": "the speech"}.get(item.kind, "the content")
    return _PLACES[item.kind].format(start=item.start, end=item.end)


def _plain(category: str) -> str:
    return category.replace("_", " ")
