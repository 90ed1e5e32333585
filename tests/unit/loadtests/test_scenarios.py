"""The schedules of the load tests, and what their payloads must end with."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from loadtests.payloads import POISON, Payloads, film
from loadtests.scenarios import SCENARIOS, schedule, starts

from omniguard.contracts.content_event import Rejected, parse
from omniguard.domain.content import Upload
from omniguard.errors import Unidentifiable


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_schedule_is_in_order_and_sends_each_phase_at_its_rate(name: str) -> None:
    scenario = SCENARIOS[name].with_(10.0, 60.0)
    dues = list(schedule(scenario))
    assert [due.at for due in dues] == sorted(due.at for due in dues)
    assert sum(phase.share for phase in scenario.phases) == pytest.approx(1.0)
    steady = sum(round(10.0 * phase.share * 60.0) for phase in scenario.phases)
    extra = sum(round(s.rate * phase.share * 60.0) for phase in scenario.phases for s in phase.extra)
    assert len(dues) == steady + extra
    assert Counter(due.phase for due in dues).keys() == {phase.name for _, phase in starts(scenario)}


def test_arrivals_of_a_stream_are_evenly_spaced() -> None:
    times = [due.at for due in schedule(SCENARIOS["steady"].with_(4.0, 2.0))]
    assert times == [i / 4 for i in range(8)]


def test_tenants_that_are_named_take_turns_in_all_that_is_measured() -> None:
    dues = list(schedule(SCENARIOS["burst"].with_(4.0, 10.0, ("acme", "trial"))))
    assert {due.tenant for due in dues} == {"acme", "trial"}
    assert {due.group for due in dues} == {"others"}
    assert {due.tenant for due in schedule(SCENARIOS["flood"].with_(4.0, 10.0, ("acme",)))} == {"acme", "flood"}


@pytest.mark.parametrize("number", range(len(POISON)))
def test_each_poison_is_as_bad_as_it_says(number: int, tmp_path: Path) -> None:
    payload = Payloads("run", tmp_path).make("poison", "mallory", number, 1.0)
    try:
        ends = "verdict" if isinstance(parse(payload.key, payload.value, {}), Upload) else "?"
    except Unidentifiable:
        ends = "letter"
    except Rejected:
        ends = "both"
    by_its_media = ends == "verdict" and payload.ends == "both"  # found out only where the media are fetched
    assert payload.ends == ends or by_its_media


def test_texts_have_keys_of_their_own_and_some_are_sent_again(tmp_path: Path) -> None:
    payloads = Payloads("run", tmp_path)
    made = [payloads.make("text", "anna", i, i / 10) for i in range(40)]
    assert len({p.key for p in made}) == 40
    texts = Counter(parse(p.key, p.value, {}).parts[0].text for p in made)  # type: ignore[union-attr]
    assert sorted(texts.values())[-1] > 1


def test_the_film_lasts_as_long_as_it_says(tmp_path: Path) -> None:
    import av

    film(tmp_path / "film.mp4", 90)
    with av.open(str(tmp_path / "film.mp4")) as container:
        assert container.duration == pytest.approx(90 * 1_000_000, rel=0.02)
