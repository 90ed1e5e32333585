"""One sentence that a person understands. No content: category names, part ids, times, and our own messages."""

from __future__ import annotations

from collections.abc import Sequence

from omniguard.domain.policy import Action
from omniguard.domain.spans import Span

_DONE = {Action.BLOCK: "Blocked", Action.REVIEW: "Sent to review", Action.ALLOW: "Allowed"}
_PROBLEMS_SHOWN = 3


def explain(
    *,
    action: Action,
    indeterminate: bool,
    named: Sequence[str],
    span: Span | None,
    problems: Sequence[str],
    not_assessed: int,
) -> str:
    """Say what was decided and why.

    Args:
        action: what is asked of the platform.
        indeterminate: True if no judgement was reached.
        named: categories found.
        span: the strongest span, if one is shown.
        problems: messages that name what could not be examined and why; the first few are shown.
        not_assessed: how many pairs of modality and category nobody vouched for.

    """
    why = _listed(problems)
    found = f"{', '.join(named)}{_where(span)}" if named else ""
    if indeterminate:
        seen = f"; found so far: {found}" if found else ""
        return f"No judgement, so `{action}` applies: {why}{seen}."
    if found:
        also = f"; not examined: {why}" if why else ""
        # A category may be capped at allow: then it was found, and the policy lets it pass.
        return (
            f"{_DONE[action]} for {found}{also}."
            if action > Action.ALLOW
            else f"Allowed by the policy although it shows {found}."
        )
    if not_assessed:
        return f"Allowed: nothing reached a threshold, but {not_assessed} pairs of modality and category were not assessed."
    return "Allowed: everything was assessed and nothing reached a threshold."


def _listed(problems: Sequence[str]) -> str:
    more = len(problems) - _PROBLEMS_SHOWN
    return "; ".join(problems[:_PROBLEMS_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _where(span: Span | None) -> str:
    if span is None:
        return ""
    time = "" if span.t0 is None or span.t1 is None else f" from {span.t0:.1f} s to {span.t1:.1f} s"
    return f" in part {span.part}{time} (score {span.score:.2f})"
