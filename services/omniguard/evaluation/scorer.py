"""What is measured: anything that gives scores to uploads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from omniguard.errors import Misconfigured
from omniguard.evaluation.dataset import Example
from omniguard.guard.lite.text import TextHeads


@dataclass(frozen=True, slots=True)
class ExampleScore:
    """Decision scores 0..1 of one row.

    `joint` is the judgement over all media at once, None where there was none (one medium, or an engine that has none);
    `single` maps each modality judged alone to its score; `categories` maps category names to scores.
    `assessed` is False where the engine vouches for nothing in the row: it then counts in no metric but coverage.
    """

    single: Mapping[str, float]
    categories: Mapping[str, float] = field(default_factory=dict)
    joint: float | None = None
    assessed: bool = True

    @property
    def unsafe(self) -> float:
        """The larger of the joint score and the best single one."""
        return max([*self.single.values(), *([self.joint] if self.joint is not None else [])], default=0.0)


class Scorer(Protocol):
    """Scores rows in order. `name` stands in reports."""

    name: str

    def score(self, batch: Sequence[Example]) -> list[ExampleScore]:
        """One score a row."""


class LiteText:
    """The lite engine's text heads, in process.

    Raises:
        Misconfigured: the model's files cannot be had; from `score`, a row has media besides text.

    """

    name = "lite"

    def __init__(self, *, threads: int = 2) -> None:
        self._heads = TextHeads(threads=threads)

    def score(self, batch: Sequence[Example]) -> list[ExampleScore]:
        """One score a row; a row that is not confidently English is not assessed."""
        for example in batch:
            if example.text is None or example.media:
                raise Misconfigured(
                    f"{example.source}, row {example.id}: found {', '.join(example.modalities)}; "
                    "the in-process scorer reads text alone, use a running guard for media"
                )
        return [
            ExampleScore({"text": s.unsafe}, s.categories, assessed=bool(s.assessed))
            for s in self._heads.score([example.text or "" for example in batch])
        ]
