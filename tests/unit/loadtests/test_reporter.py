"""The load report counts what was lost, repeated and late, from data alone."""

import pytest
from loadtests.reporter import Answer, Limits, report


def answer(key: str, at: float, verdict: str = "", status: str = "final", cached: bool = False) -> Answer:
    return Answer(key, at, verdict or f"v-{key}", status, cached)


def test_an_upload_without_a_verdict_is_lost_and_always_a_miss() -> None:
    result = report({"a": 0.0, "b": 0.0}, [answer("a", 0.1)], 1.0)
    assert (result.answered, result.lost) == (1, 1)
    assert result.misses(Limits()) == ["1 of 2 uploads got no verdict; expected none"]


def test_the_same_verdict_twice_is_a_duplicate_and_a_later_revision_is_not() -> None:
    answers = [answer("a", 0.1, "v1", "indeterminate"), answer("a", 0.2, "v1", "indeterminate"), answer("a", 0.3, "v2")]
    result = report({"a": 0.0}, answers, 1.0)
    assert result.duplicates == 1
    assert result.indeterminate == 0, "the last revision counts"
    assert result.p50_ms == pytest.approx(100), "the first verdict is what the upload waited for"


def test_provisional_verdicts_and_those_of_others_do_not_answer() -> None:
    result = report({"a": 0.0}, [answer("a", 0.1, status="provisional"), answer("z", 0.1)], 1.0)
    assert result.lost == 1


def test_thresholds_are_missed_in_words() -> None:
    sent = {str(i): 0.0 for i in range(100)}
    answers = [answer(key, 0.5, status="indeterminate" if key == "7" else "final") for key in sent]
    result = report(sent, answers, 10.0)
    assert result.rate_per_s == 10
    assert result.misses(Limits(p99_ms=600, indeterminate_share=0.01)) == []
    assert len(result.misses(Limits(p99_ms=400, indeterminate_share=0.0))) == 2
