"""Verdicts and critiques for a person: what was decided, where it shows, what was looked at. All that travelled is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from omniguard.contracts.critique import CritiqueData
from omniguard.contracts.verdict import CategoryData, CoverageData, SpanData, VerdictData
from omniguard.domain.decision import Assurance, Status
from omniguard.domain.policy import Action
from omniguard.domain.verdict import NoCritique
from omniguard.entrypoints.console import untrusted

STYLES = {Action.ALLOW: "green", Action.REVIEW: "yellow", Action.BLOCK: "red"}
_INDETERMINATE = "magenta"
_NO_CRITIQUE = {
    NoCritique.TIMEOUT: "it was not written in time",
    NoCritique.SHED: "too many waited",
    NoCritique.UNAVAILABLE: "it could not be written",
}


def answer(verdict: VerdictData) -> Text:
    """The action in a word, and what qualifies it: `block`, `allow (partial)`, `indeterminate: damaged → review`."""
    style = STYLES[verdict.action]
    if verdict.status is Status.INDETERMINATE:
        reason = verdict.reason.value if verdict.reason else "no reason"
        return Text.assemble((f"indeterminate: {reason}", _INDETERMINATE), " → ", (verdict.action.value, style))
    if verdict.status is Status.RETRACTED:
        return Text("retracted", style="dim")
    text = Text(verdict.action.value, style=f"bold {style}")
    if verdict.status is Status.PROVISIONAL:
        text.append(" (so far)", style="dim")
    elif verdict.action is Action.ALLOW and verdict.assurance is Assurance.PARTIAL:
        text.append(" (partial)", style="dim")
    return text


def named(verdict: VerdictData) -> list[CategoryData]:
    """The categories that were found, the strongest first."""
    return sorted((c for c in verdict.categories if c.named), key=lambda c: -(c.score or 0))


def categories(verdict: VerdictData) -> Text:
    """The found categories with their scores."""
    return untrusted(", ".join(f"{c.name} {c.score:.2f}" for c in named(verdict)), lines=False)


def where(spans: Iterable[SpanData], most: int = 3) -> Text:
    """Where harm shows: `video 9 to 12 s`, `text`."""
    shown = [_span(s) for s in sorted(spans, key=lambda s: -s.score)]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return untrusted(", ".join(dict.fromkeys(shown[:most])) + more, lines=False)


def critique_text(critique: CritiqueData | None) -> Text:
    """The critique, or why there is none."""
    if critique is None:
        return Text("")
    if critique.text is None:
        return Text(f"no critique: {_NO_CRITIQUE[critique.none or NoCritique.UNAVAILABLE]}", style="dim")
    return untrusted(critique.text)


def panel(verdict: VerdictData, critique: CritiqueData | None) -> RenderableType:
    """Everything a person needs to know of one verdict."""
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column(overflow="fold")
    rows.add_row("explanation", untrusted(verdict.explanation))
    for problem in verdict.problems:
        rows.add_row("problem", untrusted(f"{problem.part or 'the upload'}: {problem.message} ({problem.reason.value})"))
    if found := named(verdict):
        rows.add_row("categories", Text("\n").join(_category(c) for c in found))
    if verdict.segments:
        rows.add_row("where", Text("\n").join(_segment(s) for s in verdict.segments))
    for part, reached in verdict.coverage.items():
        rows.add_row(
            "looked at", _coverage(part, reached, [c.name for c in verdict.categories], judged=verdict.model is not None)
        )
    if verdict.critique_ref is not None:
        rows.add_row("critique", critique_text(critique))
    rows.add_row("decided by", _origin(verdict))
    # A 0.00 of what nobody judged would read as harmless.
    judged = verdict.model is not None and (verdict.status is not Status.INDETERMINATE or verdict.unsafe > 0)
    score = f"unsafe {verdict.unsafe:.2f}  " if judged else ""
    title = Text.assemble(score, answer(verdict))
    return Panel(Group(rows), title=title, title_align="left", border_style=STYLES[verdict.action])


def _category(category: CategoryData) -> Text:
    severity = f", {category.severity.value}" if category.severity else ""
    score = f" {category.score:.2f}" if category.score is not None else ""
    return untrusted(f"{category.name}{score}{severity}, by {' and '.join(category.modalities)}", lines=False)


def _segment(span: SpanData) -> Text:
    return untrusted(f"{span.part}: {_span(span)}: {', '.join(span.categories)} {span.score:.2f}", lines=False)


def _span(span: SpanData) -> str:
    kinds = " and ".join(span.modalities)
    if span.t0 is None or span.t1 is None:
        return kinds
    return f"{kinds} {span.t0:.1f} to {span.t1:.1f} s"


def _coverage(part: str, reached: CoverageData, every: Sequence[str], *, judged: bool) -> Text:
    how_much = []
    if reached.seconds is not None:
        how_much.append(f"{reached.examined or 0:.1f} of {reached.seconds:.1f} s")
    if reached.frames:
        how_much.append(f"{reached.frames} frame{'s' if reached.frames > 1 else ''}")
    text = f"{part}: {', '.join(how_much) or ('all' if judged else 'nothing')}"
    if judged and reached.not_assessed:
        text += f"; not assessed: {_by_modality(reached.not_assessed, every)}"
    return untrusted(text)


def _by_modality(pairs: Iterable[str], every: Sequence[str]) -> str:
    """`image:hate`, `image:privacy` as `image: hate, privacy`; where most are missing, what is not: `image: all but test`."""
    missing: dict[str, list[str]] = {}
    for pair in pairs:
        modality, _, name = pair.partition(":")
        missing.setdefault(modality, []).append(name)
    return "; ".join(f"{modality}: {_shorter(names, every)}" for modality, names in missing.items())


def _shorter(missing: Sequence[str], every: Sequence[str]) -> str:
    rest = [name for name in every if name not in missing]
    if len(rest) >= len(missing):
        return ", ".join(missing)
    return f"all but {', '.join(rest)}" if rest else "all"


def _origin(verdict: VerdictData) -> Text:
    policy = f"policy {verdict.policy.id} v{verdict.policy.version}" if verdict.policy else "no policy"
    model = f"{verdict.model.name} ({verdict.model.engine} {verdict.model.digest[:8]})" if verdict.model else "no model"
    calibration = "" if verdict.model is None or verdict.model.calibration else ", uncalibrated"
    cache = ", from the cache" if verdict.cache.hit else ""
    return untrusted(f"{policy}, {model}{calibration}{cache}, {verdict.timings_ms.get('total', 0)} ms", "dim")
