"""What each load test sends, how the worker is set up for it, and what it must keep. Data, and the schedule made from it."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from loadtests.reporter import Limits

OTHERS = ("anna", "ben", "carla", "dora")
"""Tenants without a quota, whose uploads are the measure."""
FLOOD_QUOTA = 5.0


@dataclass(frozen=True, slots=True)
class Stream:
    """Uploads of one group at a fixed rate a second, over its tenants in turn. `kind` names what `payloads.make` makes.

    A stream that names no tenants has those of the scenario's `others`.
    """

    group: str
    tenants: tuple[str, ...]
    rate: float
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the run: its share of the seconds, what comes beside the steady stream, and how slow the guard is."""

    name: str
    share: float
    extra: tuple[Stream, ...] = ()
    slow: float = 1.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One load test. `rate` and `others` are those of the steady stream, `settings` OMNIGUARD_ variables without the prefix.

    `own` says why it runs on workers of its own alone; empty where it may be sent to any installation.
    """

    name: str
    about: str
    phases: tuple[Phase, ...]
    limits: Limits
    rate: float = 20.0
    seconds: float = 60.0
    label_ms: float = 5.0
    others: tuple[str, ...] = OTHERS
    own: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)

    def with_(self, rate: float | None, seconds: float | None, others: tuple[str, ...] = ()) -> Scenario:
        """Other numbers and tenants, where they are given."""
        return replace(self, rate=rate or self.rate, seconds=seconds or self.seconds, others=others or self.others)


@dataclass(frozen=True, slots=True, order=True)
class Due:
    """One upload of the schedule, seconds after the start."""

    at: float
    number: int
    tenant: str
    group: str
    phase: str
    kind: str


def schedule(scenario: Scenario) -> Iterator[Due]:
    """Every upload in the order in which it is due."""
    start = 0.0
    for phase in scenario.phases:
        length = phase.share * scenario.seconds
        streams = (Stream("others", (), scenario.rate), *phase.extra)
        arrivals = (_arrivals(stream, stream.tenants or scenario.others, phase.name, start, length) for stream in streams)
        yield from heapq.merge(*arrivals)
        start += length


def starts(scenario: Scenario) -> list[tuple[float, Phase]]:
    """When each phase begins, seconds after the start."""
    found, at = [], 0.0
    for phase in scenario.phases:
        found.append((at, phase))
        at += phase.share * scenario.seconds
    return found


def _arrivals(stream: Stream, tenants: tuple[str, ...], phase: str, start: float, length: float) -> Iterator[Due]:
    for i in range(round(stream.rate * length)):
        tenant = tenants[i % len(tenants)]
        yield Due(start + i / stream.rate, i, tenant, stream.group, phase, stream.kind)


def _twice(*extra: Stream) -> tuple[Phase, ...]:
    """Quiet first, then loaded twice. Only what comes before any load is quiet: what a load leaves behind flatters the ratio."""
    return (
        Phase("quiet", 0.3),
        Phase("loaded", 0.2, extra),
        Phase("after", 0.15),
        Phase("loaded", 0.2, extra),
        Phase("after", 0.15),
    )


def _once(*extra: Stream, slow: float = 1.0) -> tuple[Phase, ...]:
    """A loaded phase in the middle, and time to recover from it."""
    return (Phase("quiet", 0.4), Phase("loaded", 0.2, extra, slow), Phase("after", 0.4))


_FLOOD = Stream("flood", ("flood",), 50.0)
_POISON = Stream("poison", ("mallory",), 20.0, "poison")
_VIDEO = Stream("video", ("films",), 0.2, "video")

SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario("steady", "a fixed rate of texts", (Phase("steady", 1.0),), Limits(indeterminate=0.0)),
        Scenario(
            "burst",
            "ten times the rate for a fifth of the time",
            _once(Stream("others", (), 90.0)),
            Limits(indeterminate=0.0, recovery_s=15.0),
            rate=10.0,
        ),
        Scenario(
            "poison",
            "a storm of malformed and hostile events beside the good ones",
            _twice(_POISON),
            Limits(ratio=1.5),
            rate=10.0,
            # A storm is what the limit of dead letters is for: it would stop the worker, and there would be no load to measure.
            own="would stop the workers by their limit of dead letters",
            settings={"worker__dead_letter_run": "0", "worker__dead_letter_ratio": "1"},
        ),
        Scenario(
            "slow",
            "a model that takes eight times as long for a fifth of the time",
            _once(slow=8.0),
            Limits(indeterminate=0.0, recovery_s=15.0),
            own="slows the stand-in down, and nobody else's guard",
        ),
        Scenario(
            "flood",
            f"one tenant sends ten times its quota of {FLOOD_QUOTA:g} a second",
            _twice(_FLOOD),
            Limits(ratio=1.5, indeterminate=0.0),
            rate=10.0,
        ),
        Scenario(
            "video",
            "a tenant uploads two-hour videos",
            _twice(_VIDEO),
            Limits(ratio=1.5, indeterminate=0.0),
            rate=10.0,
            own="sends films that lie on this machine",
        ),
        Scenario(
            "soak",
            "a fixed rate for long; memory and descriptors must not grow",
            (Phase("steady", 1.0),),
            Limits(indeterminate=0.0, rss_growth=0.1, descriptor_growth=16),
            seconds=900.0,
        ),
    )
}
