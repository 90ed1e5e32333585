"""What every guard engine is to the service around it."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from omniguard.errors import OmniGuardError
from omniguard.guard.wire import Capabilities, CategoriesEvent, CritiqueEvent, GuardErrorCode, GuardRequest, LabelEvent

__all__ = ["Ask", "Engine", "Refusal"]


class Refusal(OmniGuardError):
    """A request ends without an answer; the service sends it on as an `ErrorEvent`. The message holds no content."""

    def __init__(self, code: GuardErrorCode, message: str) -> None:
        """Keep the typed code beside the message."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Ask:
    """A validated request and its encoded media.

    `stopped` is set once nobody waits for the answer: computing in threads should look at it between steps.
    """

    request: GuardRequest
    media: tuple[bytes, ...] = ()
    stopped: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """End the work here if nobody waits for it.

        Raises:
            Refusal: cancelled.

        """
        if self.stopped.is_set():
            raise Refusal(GuardErrorCode.CANCELLED, "the request was cancelled, or its deadline passed, while it was computed")


class Engine(Protocol):
    """Judges. Called on the service's event loop, so anything slow belongs in a thread or a task of the engine's own.

    Events need neither sequence nor timings: the service numbers and times them. A label of an input for which
    categories follow has `final=False`. Any method may raise `Refusal`; a cancelled task means that nobody waits any more.
    """

    @property
    def lanes(self) -> Mapping[str, int]:
        """Kinds of work that do not wait for one another, each with how many requests the engine takes at once."""
        ...

    def lane(self, request: GuardRequest) -> str:
        """The kind of work a request is, one of `lanes`."""
        ...

    def capabilities(self) -> Capabilities:
        """What the engine can take; constant once it is loaded."""
        ...

    def label(self, ask: Ask) -> AsyncGenerator[LabelEvent | CategoriesEvent, None]:
        """Label first, then categories if the label reaches the request's `categories_from`; the last event is final."""
        ...

    def critique(self, ask: Ask) -> AsyncGenerator[CritiqueEvent, None]:
        """Pieces of critique; the last is final."""
        ...

    def close(self) -> None:
        """Free threads and models; nothing is asked afterwards."""
        ...
