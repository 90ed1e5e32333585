from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniguard.domain.breaker import Breaker, BreakerRules, BreakerState

RULES = BreakerRules(failures=3, first_pause=1.0, longest_pause=8.0, probe_seconds=5.0)


def breaker(chance: float = 1.0) -> Breaker:
    return Breaker(RULES, lambda: chance)


def state(made: Breaker) -> BreakerState:
    return made.state  # asked anew: the type checker would take it for what it was last asserted to be


def opened(at: float = 0.0) -> Breaker:
    made = breaker()
    for _ in range(3):
        assert made.admits(at)
        made.failed(at)
    return made


def test_it_opens_only_on_failures_in_a_row() -> None:
    made = breaker()
    for _ in range(10):
        made.failed(0.0)
        made.failed(0.0)
        made.succeeded()
    assert state(made) is BreakerState.CLOSED
    assert made.wait(0.0) == 0.0


def test_while_open_nobody_tries_and_then_exactly_one() -> None:
    made = opened()
    assert state(made) is BreakerState.OPEN
    assert not made.admits(0.99)
    assert made.wait(0.25) == pytest.approx(0.75)
    assert [made.admits(1.0) for _ in range(5)] == [True, False, False, False, False]
    assert state(made) is BreakerState.HALF_OPEN


def test_the_one_try_decides() -> None:
    made = opened()
    assert made.admits(1.0)
    made.failed(1.0)
    assert state(made) is BreakerState.OPEN
    assert made.wait(1.0) == 2.0, "pauses double"
    assert made.admits(3.0)
    made.succeeded()
    assert state(made) is BreakerState.CLOSED
    assert all(made.admits(3.0) for _ in range(5))


def test_after_a_success_it_takes_a_whole_row_again_and_the_first_pause() -> None:
    made = opened()
    assert made.admits(1.0)
    made.succeeded()
    made.failed(2.0)
    made.failed(2.0)
    assert state(made) is BreakerState.CLOSED
    made.failed(2.0)
    assert made.wait(2.0) == 1.0


def test_a_try_that_was_cut_off_gives_the_next_its_turn() -> None:
    made = opened()
    assert made.admits(1.0)
    made.abandoned(1.5)
    assert state(made) is BreakerState.OPEN
    assert made.admits(1.5 + made.wait(1.5))


def test_a_try_that_hangs_keeps_the_others_away_for_a_while_only() -> None:
    made = opened()
    assert made.admits(1.0)
    assert not made.admits(5.9)
    assert made.admits(6.0)


def test_a_late_failure_of_before_prolongs_nothing_and_a_late_answer_closes() -> None:
    made = opened()
    made.failed(0.9)
    assert made.wait(0.0) == 1.0
    made.succeeded()
    assert state(made) is BreakerState.CLOSED


@given(st.lists(st.tuples(st.sampled_from(["ask", "fail", "cut"]), st.floats(0, 3)), max_size=60), st.floats(0, 1))
def test_whatever_fails_it_is_tried_again_within_the_longest_pause(steps: list[tuple[str, float]], chance: float) -> None:
    made, now = Breaker(RULES, lambda: chance), 0.0
    for what, later in steps:
        now += later
        if what == "ask":
            made.admits(now)
        elif what == "fail":
            made.failed(now)
        else:
            made.abandoned(now)
        assert made.wait(now) <= max(RULES.longest_pause, RULES.probe_seconds)
    assert made.admits(now + made.wait(now))
