from __future__ import annotations

import pytest

from omniguard.adapters.breakers import Away, Breakers
from omniguard.adapters.clock import ManualClock
from omniguard.adapters.fetch_http import HttpFetcher
from omniguard.adapters.fetch_s3 import S3Fetcher
from omniguard.adapters.media_store import fetchers
from omniguard.domain.breaker import BreakerRules
from omniguard.errors import BadContent, Reason, Retryable
from omniguard.observability import Metrics

RULES = BreakerRules(failures=3, first_pause=1.0, longest_pause=4.0, probe_seconds=5.0)
AWAY = Away(Reason.FETCH_FAILED, "away")


class Host:
    """Counts how often it was really asked."""

    def __init__(self, breakers: Breakers) -> None:
        self.breakers, self.asked = breakers, 0

    def ask(self, host: str, error: BaseException | None = None) -> None:
        with self.breakers.asking(host):
            self.asked += 1
            if error is not None:
                raise error

    def fail(self, host: str, times: int, error: BaseException = AWAY) -> None:
        for _ in range(times):
            with pytest.raises(type(error)):
                self.ask(host, error)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def host(clock: ManualClock, metrics: Metrics) -> Host:
    return Host(Breakers(size=4, rules=RULES, clock=clock, metrics=metrics))


def state(metrics: Metrics) -> dict[str, float]:
    return {s: metrics.value("omniguard_breaker_state", part="object_store", state=s) for s in ("closed", "half_open", "open")}


def test_a_host_that_is_away_is_not_asked_until_its_pause_is_over(host: Host, clock: ManualClock, metrics: Metrics) -> None:
    host.fail("a", 3)
    assert state(metrics) == {"closed": 0, "half_open": 0, "open": 1}
    for _ in range(100):
        with pytest.raises(Retryable, match="a failed several times in a row and is left alone") as caught:
            host.ask("a")
        assert caught.value.reason is Reason.FETCH_FAILED
    assert host.asked == 3
    clock.advance(1.0)
    host.ask("a")
    host.ask("a")
    assert host.asked == 5
    assert state(metrics) == {"closed": 0, "half_open": 0, "open": 0}


def test_another_host_is_asked_as_ever(host: Host) -> None:
    host.fail("a", 3)
    host.ask("b")
    assert host.asked == 4


@pytest.mark.parametrize(
    "error",
    [
        BadContent(Reason.NOT_FOUND, "no such object"),
        BadContent(Reason.FORBIDDEN, "refused"),
        Retryable(Reason.FETCH_FAILED, "the page that an uploader chose answered 503"),
        TimeoutError(),
    ],
    ids=repr,
)
def test_what_an_uploader_can_call_forth_closes_a_host_to_nobody(host: Host, error: BaseException) -> None:
    host.fail("a", 50, error)
    host.ask("a")
    assert host.asked == 51


def test_an_answer_that_nobody_wanted_closes_the_breaker_all_the_same(host: Host, clock: ManualClock) -> None:
    host.fail("a", 3)
    clock.advance(1.0)
    host.fail("a", 1, BadContent(Reason.NOT_FOUND, "no such object"))
    host.ask("a")


def test_a_try_that_a_deadline_cut_off_lets_the_next_one_try(host: Host, clock: ManualClock) -> None:
    host.fail("a", 3)
    clock.advance(1.0)
    host.fail("a", 1, TimeoutError())
    with pytest.raises(Retryable, match="left alone"):
        host.ask("a")
    clock.advance(4.0)
    host.ask("a")


def test_a_flood_of_names_is_bounded_and_does_not_open_what_is_left_alone(host: Host) -> None:
    host.fail("store", 3)
    for number in range(50):
        host.fail(f"nowhere{number}", 1)
    assert len(host.breakers._breakers) == 4
    with pytest.raises(Retryable, match="left alone"):
        host.ask("store")


def test_all_schemes_have_the_same_breakers_so_that_they_are_bounded_and_counted_together() -> None:
    found = fetchers(lambda name: pytest.fail(f"nobody asks for {name}"))
    http, s3 = found["https"], found["s3"]
    assert isinstance(http, HttpFetcher)
    assert isinstance(s3, S3Fetcher)
    assert http._breakers is s3._breakers
