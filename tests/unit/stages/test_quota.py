"""A tenant may send its quota a second, and that of a few seconds at once."""

from __future__ import annotations

from dataclasses import replace

from omniguard.adapters.clock import ManualClock
from omniguard.stages.quota import BURST_SECONDS, Quotas
from stage_bench import ACME


def admitted(quotas: Quotas, quota: float | None, times: int, name: str = "acme") -> int:
    return sum(quotas.admit(replace(ACME, name=name, quota=quota)) for _ in range(times))


def test_without_a_quota_everything_is_admitted() -> None:
    assert admitted(Quotas(ManualClock(), at_once=1000), None, 1000) == 1000


def test_a_burst_is_admitted_and_then_the_quota() -> None:
    clock = ManualClock()
    quotas = Quotas(clock, at_once=1000)
    assert admitted(quotas, 10.0, 100) == 10 * BURST_SECONDS
    clock.advance(1.0)
    assert admitted(quotas, 10.0, 100) == 10


def test_a_burst_never_fills_the_window_alone() -> None:
    clock = ManualClock()
    quotas = Quotas(clock, at_once=16)
    assert admitted(quotas, 100.0, 1000) == 16
    clock.advance(3600)
    assert admitted(quotas, 100.0, 1000) == 16


def test_idle_time_saves_up_no_more_than_a_burst() -> None:
    clock = ManualClock()
    quotas = Quotas(clock, at_once=1000)
    admitted(quotas, 2.0, 100)
    clock.advance(3600)
    assert admitted(quotas, 2.0, 100) == 2 * BURST_SECONDS


def test_less_than_one_event_a_burst_still_admits_one_now_and_then() -> None:
    clock = ManualClock()
    quotas = Quotas(clock, at_once=1000)
    assert admitted(quotas, 0.1, 3) == 1
    clock.advance(10.5)
    assert admitted(quotas, 0.1, 3) == 1


def test_one_tenants_burst_costs_another_nothing() -> None:
    quotas = Quotas(ManualClock(), at_once=1000)
    admitted(quotas, 1.0, 100)
    assert admitted(quotas, 1.0, 100, "other") == BURST_SECONDS


def test_a_wall_clock_set_back_takes_no_tokens() -> None:
    clock = ManualClock()
    quotas = Quotas(clock, at_once=1000)
    admitted(quotas, 1.0, 100)
    clock.skew(-3600)
    clock.advance(2.0)
    assert admitted(quotas, 1.0, 100) == 2
