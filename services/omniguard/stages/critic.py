"""Critic: at most one critique per verdict, written behind it, within a time limit and a bounded queue of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from omniguard.domain.content import Modality, Segment, Turn
from omniguard.domain.decision import Decision
from omniguard.domain.reason import Reason
from omniguard.domain.scores import Critique
from omniguard.domain.taxonomy import UNCATEGORIZED
from omniguard.domain.verdict import NoCritique
from omniguard.errors import BadContent, Retryable
from omniguard.guard.wire import GuardRequest, Mode, Priority, WireCategory, WirePart, WireTurn
from omniguard.ports import GuardModel
from omniguard.stages.judge import wire_parts


class Critic:
    """Writes at most `concurrency` critiques at once and lets at most `queue` wait; more are shed.

    A critique may have `tokens` while nobody waits, and the fewer the more wait, down to `least_tokens` at a full queue: under
    load everybody gets a shorter one before anybody gets none.
    """

    def __init__(
        self,
        guard: GuardModel,
        *,
        concurrency: int,
        queue: int,
        timeout: float,
        tokens: int = 256,
        least_tokens: int = 64,
    ) -> None:
        """`timeout` is in seconds and includes the wait in the queue."""
        self._guard = guard
        self._slots = asyncio.Semaphore(concurrency)
        self._concurrency, self._queue, self.timeout = concurrency, queue, timeout
        self._tokens, self._least_tokens = tokens, least_tokens
        self.waiting = 0

    @property
    def budget(self) -> int:
        """Tokens that a critique which starts now may have."""
        behind = max(0, self.waiting - self._concurrency)
        return self._tokens - (self._tokens - self._least_tokens) * behind // max(1, self._queue)

    async def write(
        self,
        decision: Decision,
        segments: Sequence[Segment],
        *,
        tenant: str,
        affinity: str,
        categories: tuple[WireCategory, ...],
        context: tuple[Turn, ...],
        traceparent: str | None,
    ) -> Critique | NoCritique:
        """Explain a decision by the segments that decided most. Never raises for the guard's failings.

        `affinity` is the one that the labels were asked with.
        """
        until = time.monotonic() + self.timeout
        if self.waiting >= self._concurrency + self._queue:
            return NoCritique.SHED
        parts, media = _joined(segments)
        named = tuple(c.name for c in decision.categories if c.named and c.name != UNCATEGORIZED)
        request = GuardRequest(
            mode=Mode.CRITIQUE,
            tenant=tenant,
            policy=categories,
            parts=parts,
            context=tuple(WireTurn(role=t.role, text=t.text) for t in context),
            label="unsafe" if any(c.named for c in decision.categories) else "safe",
            categories=named,
            priority=Priority.CRITIQUE,
            traceparent=traceparent,
        )
        self.waiting += 1
        try:
            async with asyncio.timeout(self.timeout), self._slots:
                left = max(0, int((until - time.monotonic()) * 1000))
                asked = request.model_copy(update={"max_tokens": self.budget, "deadline_ms": left})
                return await self._guard.critique(asked, media, affinity=affinity)
        except TimeoutError:
            return NoCritique.TIMEOUT
        except Retryable as error:
            return NoCritique.TIMEOUT if error.reason is Reason.DEADLINE else NoCritique.UNAVAILABLE
        except BadContent:
            return NoCritique.UNAVAILABLE
        finally:
            self.waiting -= 1


def _joined(segments: Sequence[Segment]) -> tuple[tuple[WirePart, ...], list[bytes]]:
    """Several segments as one request: texts first, then media in order, with their places in MEDIA moved up."""
    parts: list[WirePart] = []
    media: list[bytes] = []
    for segment in sorted(segments, key=lambda s: s.modality is not Modality.TEXT):
        own, blobs = wire_parts(segment, segment.media, "")
        for part in own:
            moved = part.media and (part.media[0] + len(media), part.media[1] + len(media))
            parts.append(part.model_copy(update={"media": moved}))
        media += blobs
    return tuple(parts), media
