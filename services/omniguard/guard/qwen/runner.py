"""What runs a checkpoint: the one thing in which the torch engines differ."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

__all__ = ["FRAMES_PER_STEP", "Medium", "Prompt", "Runner", "Scored", "Step"]

FRAMES_PER_STEP = 2
"""Video frames that make one step of both families' clock."""


@dataclass(frozen=True, slots=True, eq=False)
class Medium:
    """One item of media as the processor takes it.

    `image`: one RGB PIL image. `video`: an even number of RGB PIL images of one size, `seconds_per_frame` apart.
    `audio`: float32[samples] in -1..1, mono, at the processor's own rate. `key` is the sha256 of what was decoded, in hex.
    """

    kind: Literal["image", "video", "audio"]
    data: Any
    key: str
    seconds_per_frame: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """Token ids with one placeholder for each medium, in the order of `media`.

    `salt` isolates caches between tenants. The smaller `priority`, the sooner; labels come before critiques. The first
    `constant` ids hold no content and no medium, only the template and the policy: they may be computed once for all tenants.
    """

    ids: tuple[int, ...]
    media: tuple[Medium, ...] = ()
    salt: str = ""
    priority: int = 1
    constant: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Raw log-probabilities (over the whole vocabulary) of the watched ids at the next position, in their order.

    `prompt_ids` are the ids that were computed, after media took their places. `state` is the runner's own: what it kept of the
    computation, so that a continuation of this prompt need not begin anew.
    """

    logprobs: tuple[float, ...]
    prompt_ids: tuple[int, ...]
    state: Any = None


@dataclass(frozen=True, slots=True)
class Step:
    """One greedily generated token with its raw log-probability, and those of the watched ids where it stands."""

    token: int
    logprob: float
    logprobs: Mapping[int, float]


class Runner(Protocol):
    """Called on the service's event loop; computes elsewhere. A cancelled task or closed generator ends the computing.

    Any method may raise `Refusal`.
    """

    @property
    def engine(self) -> str:
        """Name and version of engine, libraries and dtype: all that can move a score beside checkpoint and profile."""
        ...

    @property
    def at_once(self) -> int:
        """Labels of one step; more than that wait for their turn inside the runner."""
        ...

    async def score(self, prompt: Prompt, watch: Sequence[int]) -> Scored:
        """One forward pass."""
        ...

    def generate(
        self, prompt: Prompt, *, max_tokens: int, stop: Sequence[int], watch: Sequence[int] = (), after: Scored | None = None
    ) -> AsyncGenerator[Step, None]:
        """Greedy, at most `max_tokens`, ending with one of `stop` (yielded as well). `after` scored a prefix of `prompt`."""
        ...

    def release(self, scored: Scored) -> None:
        """Free what `scored.state` holds; nothing continues from it any more."""
        ...

    def close(self) -> None:
        """Free the model, its threads and processes."""
        ...
