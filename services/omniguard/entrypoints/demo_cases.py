"""The sample uploads of one demo, what came of each, and whether that is what should have come."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from omniguard.consume import newer
from omniguard.contracts.critique import CritiqueData
from omniguard.contracts.verdict import VerdictData
from omniguard.domain.decision import Status
from omniguard.entrypoints import show
from omniguard.entrypoints.answers import Answer, Letter
from omniguard.entrypoints.demo_view import Row
from omniguard.ports import Message
from omniguard.samples import Expectation, Sample, load


@dataclass(slots=True)
class Case:
    """One sample. `published` is on the monotonic clock."""

    sample: Sample
    row: Row
    published: float | None = None
    critiques: dict[str, CritiqueData] = field(default_factory=dict)

    def message(self, topic: str) -> Message:
        """The record to publish."""
        return Message(topic, self.sample.key, self.sample.value)

    @property
    def answered(self) -> bool:
        """True once nothing more is to come."""
        expect, row = self.sample.expect, self.row
        if not expect.verdict:
            return row.letter is not None
        verdict = row.verdict
        if verdict is None or verdict.status is Status.PROVISIONAL or (expect.dead_letter and row.letter is None):
            return False
        if verdict.reason is not None and verdict.reason.passing and expect.status != Status.INDETERMINATE:
            return False  # the late lane will judge it again
        return verdict.critique_ref is None or row.critique is not None

    def take(self, answer: Answer, now: float) -> None:
        """Note an answer; an older verdict than the one that stands is passed over."""
        row = self.row
        if isinstance(answer, Letter):
            row.letter = answer
        elif isinstance(answer, CritiqueData):
            self.critiques[answer.verdict_id] = answer
        elif newer(answer, row.verdict.order if row.verdict else None):
            row.verdict = answer
        else:
            return
        if row.verdict is not None:
            row.critique = self.critiques.get(row.verdict.critique_ref or "")
        if self.published is not None and not isinstance(answer, CritiqueData) and (row.seconds is None or row.verdict is answer):
            row.seconds = now - self.published


class Cases:
    """All of them, under content ids that no other run has."""

    def __init__(self) -> None:
        """Load the samples."""
        run = f"{uuid.uuid4().hex[:8]}-"
        self._cases = [Case(sample, Row(sample.name, sample.about)) for sample in load(run)]

    def __len__(self) -> int:
        return len(self._cases)

    def __iter__(self) -> Iterator[Case]:
        return iter(self._cases)

    @property
    def complete(self) -> bool:
        """True once nothing more is to come."""
        return all(case.answered for case in self._cases)

    @property
    def waiting(self) -> int:
        """How many are still to be answered."""
        return sum(not case.answered for case in self._cases)

    @property
    def due(self) -> list[Case]:
        """Those that may be published now."""
        settled = {case.sample.name for case in self._cases if case.answered}
        return [
            case for case in self._cases if case.published is None and (case.sample.after is None or case.sample.after in settled)
        ]

    @property
    def wrong(self) -> list[Case]:
        """Those whose answer is not as expected."""
        return [case for case in self._cases if case.row.wrong != ""]

    def take(self, answer: Answer, now: float | None = None) -> Case | None:
        """Note an answer with the case it belongs to, and judge the case once it is answered; None if it is another's."""
        case = next((case for case in self._cases if _belongs(answer, case.sample)), None)
        if case is not None:
            case.take(answer, time.monotonic() if now is None else now)
            if case.answered:
                case.row.wrong = difference(case.sample.expect, case.row)
        return case

    def close(self) -> None:
        """Judge every case by what is there: no more is waited for."""
        for case in self._cases:
            case.row.wrong = difference(case.sample.expect, case.row)

    def results(self) -> list[dict[str, Any]]:
        """For JSON."""
        return [_result(case) for case in self._cases]


def difference(expect: Expectation, row: Row) -> str:
    """How the answer differs from the expected one, in words; empty if it does not."""
    return "; ".join(_differences(expect, row))


def _differences(expect: Expectation, row: Row) -> Iterator[str]:
    verdict, letter = row.verdict, row.letter
    if expect.verdict and verdict is None:
        yield "no verdict came"
    if not expect.verdict and verdict is not None:
        yield "a verdict came, expected a dead letter alone"
    if expect.dead_letter and letter is None:
        yield "no dead letter came"
    if not expect.dead_letter and letter is not None:
        yield f"found a dead letter ({letter.headers.error}), expected none"
    if verdict is not None and expect.verdict:
        yield from _verdict_differences(expect, verdict)
        yield from _critique_differences(expect, verdict, row.critique)


def _verdict_differences(expect: Expectation, verdict: VerdictData) -> Iterator[str]:
    reason = verdict.reason.value if verdict.reason else None
    if expect.status is not None and verdict.status != expect.status:
        yield f"found status {verdict.status} ({reason}), expected {expect.status}"
    if expect.actions and verdict.action not in expect.actions:
        yield f"found action {verdict.action} (unsafe {verdict.unsafe:.2f}), expected {' or '.join(expect.actions)}"
    if expect.reason is not None and reason != expect.reason:
        yield f"found reason {reason}, expected {expect.reason}"
    if missing := set(expect.categories) - {c.name for c in show.named(verdict)}:
        yield f"expected the category {', '.join(sorted(missing))}"
    if expect.span is not None and not _overlaps(expect, verdict):
        yield f"expected a segment of {expect.part} that overlaps {expect.span[0]:g} to {expect.span[1]:g} s"
    if expect.cache_hit is not None and verdict.cache.hit != expect.cache_hit:
        yield f"found it {'' if verdict.cache.hit else 'not '}from the cache, expected otherwise"


def _critique_differences(expect: Expectation, verdict: VerdictData, critique: CritiqueData | None) -> Iterator[str]:
    if expect.critique and (critique is None or not critique.text):
        yield "expected a critique"
    elif verdict.critique_ref is not None and critique is None:
        yield "the promised critique did not come"
    if expect.critique is False and critique is not None:
        yield "found a critique, expected none"


def _overlaps(expect: Expectation, verdict: VerdictData) -> bool:
    assert expect.span is not None
    first, last = expect.span
    spans = [s for s in verdict.segments if s.part == expect.part and s.t0 is not None and s.t1 is not None]
    return any(s.t0 < last and s.t1 > first for s in spans if s.t0 is not None and s.t1 is not None)


def _belongs(answer: Answer, sample: Sample) -> bool:
    if isinstance(answer, Letter):
        return answer.key.encode() == sample.key
    return (answer.tenant, answer.content_id, answer.content_version) == (
        sample.tenant,
        sample.content_id,
        sample.content_version,
    )


def _result(case: Case) -> dict[str, Any]:
    row = case.row
    return {
        "sample": row.name,
        "right": row.wrong == "",
        "wrong": row.wrong,
        "seconds": None if row.seconds is None else round(row.seconds, 3),
        "verdict": row.verdict.model_dump(mode="json") if row.verdict else None,
        "critique": row.critique.model_dump(mode="json") if row.critique else None,
        "dead_letter": row.letter.headers.model_dump(mode="json", by_alias=True) if row.letter else None,
    }
