"""Breakers by host, for an adapter whose callers fail at once while a host is away."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from omniguard.adapters.clock import SystemClock
from omniguard.domain.breaker import Breaker, BreakerRules, BreakerState
from omniguard.errors import BadContent, Reason, Retryable
from omniguard.observability import METRICS, Metrics
from omniguard.ports import Clock

__all__ = ["STORE_RULES", "Away", "Breakers"]

STORE_RULES = BreakerRules(failures=5, first_pause=1.0, longest_pause=30.0, probe_seconds=30.0)


class Away(Retryable):
    """A host that could not be asked, or failed in a way that is its own: what its breaker counts.

    An error that an uploader can call forth at will must not be one: it would close the host to everybody.
    """


class Breakers:
    """One for each host that was away, at most `size`: those tried still are forgotten first, then the one used longest ago."""

    def __init__(
        self, *, size: int = 256, rules: BreakerRules = STORE_RULES, clock: Clock | None = None, metrics: Metrics = METRICS
    ) -> None:
        """Nothing is away."""
        self._size, self._rules = size, rules
        self._clock = clock or SystemClock()
        self._metrics = metrics
        self._breakers: OrderedDict[str, Breaker] = OrderedDict()

    @contextmanager
    def asking(self, host: str) -> Iterator[None]:
        """Ask the host within the block.

        Raises:
            Retryable: fetch_failed, at once, while the host is left alone.

        """
        breaker = self._breakers.get(host)
        if breaker is not None:
            self._breakers.move_to_end(host)
            if not breaker.admits(self._clock.monotonic()):
                raise Retryable(Reason.FETCH_FAILED, f"{host} failed several times in a row and is left alone for a while")
        try:
            yield
        except Away:
            self._failed(host)
            raise
        except BadContent:  # an answer, though none that we wanted
            self._breakers.pop(host, None)
            raise
        except BaseException:  # cut off by a deadline, or an error that anybody may call forth: tells nothing
            if breaker is not None:
                breaker.abandoned(self._clock.monotonic())
            raise
        else:
            self._breakers.pop(host, None)
        finally:
            self._tell()

    def _failed(self, host: str) -> None:
        breaker = self._breakers.setdefault(host, Breaker(self._rules))
        self._breakers.move_to_end(host)
        if len(self._breakers) > self._size:
            # Whoever names hosts that do not exist, one after another, must not make those forgotten that are left alone.
            closed = (name for name, each in self._breakers.items() if each.state is BreakerState.CLOSED and name != host)
            del self._breakers[next(closed, next(iter(self._breakers)))]
        breaker.failed(self._clock.monotonic())

    def _tell(self) -> None:
        states = Counter(breaker.state for breaker in self._breakers.values())
        for state in BreakerState:
            self._metrics.set("omniguard_breaker_state", states[state], part="object_store", state=state.value)
