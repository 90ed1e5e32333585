"""`omniguard topics … --wait`: what an init container does while the broker is away."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from omniguard.adapters.topics_admin import Difference, NoBroker
from omniguard.entrypoints import topics as command
from omniguard.errors import Misconfigured
from omniguard.settings import KafkaSettings

MISSING = Difference("verdicts", "topic", "none", "12 partitions", True, "omniguard topics apply")
LONGER = Difference("verdicts", "retention.ms", "-1", "1000", False, "lower it by hand")


class Broker:
    """Answers each look with the next of `answers`, the last one for ever."""

    def __init__(self, *answers: list[Difference] | Exception) -> None:
        self.answers = list(answers)
        self.looks = 0

    async def check(self, _: KafkaSettings) -> list[Difference]:
        answer = self.answers[min(self.looks, len(self.answers) - 1)]
        self.looks += 1
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_PAUSE", 0.01)


def check(monkeypatch: pytest.MonkeyPatch, broker: Broker, *arguments: str) -> int:
    monkeypatch.setattr(command, "_check", broker.check)
    return CliRunner().invoke(command.topics_app, ["check", "--kafka", "127.0.0.1:1", *arguments]).exit_code


def test_it_waits_for_a_broker_and_for_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker(NoBroker("none"), NoBroker("none"), [MISSING], [])
    assert check(monkeypatch, broker, "--wait", "60") == 0
    assert broker.looks == 4


@pytest.mark.parametrize(("answer", "status"), [(NoBroker("none"), 2), ([MISSING], 1)])
def test_it_gives_up(monkeypatch: pytest.MonkeyPatch, answer: list[Difference] | Exception, status: int) -> None:
    broker = Broker(answer)
    assert check(monkeypatch, broker, "--wait", "0.1", "--missing-only") == status
    assert broker.looks > 1
    assert check(monkeypatch, alone := Broker(answer)) == status
    assert alone.looks == 1, "without --wait nothing is waited for"


def test_a_refused_login_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker(Misconfigured("refused"))
    assert check(monkeypatch, broker, "--wait", "60") == 2
    assert broker.looks == 1


def test_what_does_not_stop_a_worker_is_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(monkeypatch, Broker([LONGER])) == 1
    assert check(monkeypatch, Broker([LONGER]), "--missing-only") == 0
    assert check(monkeypatch, Broker([LONGER, MISSING]), "--missing-only") == 1
