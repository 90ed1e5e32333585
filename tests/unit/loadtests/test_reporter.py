"""The load report counts what was lost, repeated and late, from data alone."""

from __future__ import annotations

import pytest
from loadtests.reporter import Answer, Ends, Limits, Passed, Report, Sample, Seen, Sent, cut, recovery, report, spread


def answer(key: str, at: float, verdict: str = "", status: str = "final", reason: str | None = None) -> Answer:
    return Answer(key, at, verdict or f"v-{key}", status, reason)


def sent(key: str, due: float = 0.0, phase: str = "steady", ends: Ends = "verdict", group: str = "others") -> Sent:
    return Sent(key, due, due, group, phase, ends)


def made(
    uploads: list[Sent], *answers: Answer, passed: list[Passed] | None = None, samples: list[Sample] | None = None
) -> Report:
    return report(uploads, Seen(list(answers), passed or []), samples or [], seconds=1.0)


def test_an_upload_without_a_verdict_is_lost_and_always_a_miss() -> None:
    result = made([sent("a"), sent("b")], answer("a", 0.1))
    assert (result.answered, result.lost) == (1, 1)
    assert result.misses(Limits()) == ["1 of 2 uploads ended without their answer; expected none"]


def test_an_upload_on_a_slower_lane_is_deferred_and_not_lost() -> None:
    result = made([sent("a")], passed=[Passed("a", 0.1, "backfill")])
    assert (result.deferred, result.lost) == (1, 0)


def test_one_that_went_to_the_late_lane_behind_its_verdict_counts_as_answered() -> None:
    late = answer("a", 0.1, status="indeterminate", reason="deadline")
    result = made([sent("a")], late, passed=[Passed("a", 0.2, "late")])
    assert (result.answered, result.deferred, result.indeterminate) == (1, 0, {"deadline": 1})


@pytest.mark.parametrize(
    ("ends", "verdict", "letter", "lost"),
    [
        ("letter", False, True, 0),
        ("letter", False, False, 1),
        ("both", True, True, 0),
        ("both", True, False, 1),
        ("both", False, True, 1),
        ("verdict", True, False, 0),
    ],
)
def test_what_a_bad_event_must_end_with(ends: Ends, verdict: bool, letter: bool, lost: int) -> None:
    answers = [answer("a", 0.1)] if verdict else []
    assert made([sent("a", ends=ends)], *answers, passed=[Passed("a", 0.1, "letter")] if letter else []).lost == lost


def test_latency_counts_from_when_an_upload_was_due_not_from_when_it_went_out() -> None:
    late = Sent("a", due=1.0, at=3.0)
    result = made([late], answer("a", 3.1))
    assert result.latencies[0].p50_ms == pytest.approx(2100)
    assert result.producer_late_ms == pytest.approx(2000)


def test_the_same_verdict_twice_is_a_duplicate_and_a_later_revision_is_not() -> None:
    result = made(
        [sent("a")],
        answer("a", 0.1, "v1", "indeterminate", "deadline"),
        answer("a", 0.2, "v1", "indeterminate", "deadline"),
        answer("a", 0.3, "v2"),
    )
    assert result.duplicates == 1
    assert result.indeterminate == {}, "the last revision counts"
    assert result.latencies[0].p50_ms == pytest.approx(100), "the first verdict is what the upload waited for"


def test_provisional_verdicts_and_those_of_others_do_not_answer() -> None:
    assert made([sent("a")], answer("a", 0.1, status="provisional"), answer("z", 0.1)).lost == 1


def test_coverage_is_the_mean_of_what_stands_last() -> None:
    answers = [Answer("a", 0.1, "v1", "final", coverage=1.0), Answer("b", 0.1, "v2", "final", coverage=0.5)]
    assert made([sent("a"), sent("b")], *answers).coverage == 0.75


def phases(quiet_ms: float, loaded_ms: float) -> tuple[list[Sent], list[Answer]]:
    uploads = [sent(f"{phase}{i}", i, phase) for phase in ("quiet", "loaded") for i in range(100)]
    times = {"quiet": quiet_ms, "loaded": loaded_ms}
    return uploads, [answer(s.key, s.due + times[s.phase] / 1000) for s in uploads]


def test_the_ratio_is_of_others_p99_loaded_to_quiet_in_one_run() -> None:
    uploads, answers = phases(100, 160)
    flood = [sent("f", phase="loaded", group="flood")]
    result = made([*uploads, *flood], *answers, answer("f", 99.0))
    assert result.ratio == pytest.approx(1.6)
    assert result.misses(Limits(ratio=1.5)) == ["p99 of others, loaded to quiet, is 1.60; expected at most 1.50"]
    assert result.misses(Limits(ratio=1.7)) == []


def test_an_asked_for_figure_that_is_unknown_is_a_miss() -> None:
    assert made([sent("a")], answer("a", 0.1)).misses(Limits(ratio=1.5)) == [
        "p99 of others, loaded to quiet, is unknown; expected at most 1.50"
    ]


def test_thresholds_are_missed_in_words() -> None:
    uploads = [sent(str(i)) for i in range(100)]
    answers = [
        answer(s.key, 0.5, status="indeterminate" if s.key == "7" else "final", reason="deadline" if s.key == "7" else None)
        for s in uploads
    ]
    result = made(uploads, *answers)
    assert result.misses(Limits(p99_ms=600, indeterminate=0.01)) == []
    assert result.misses(Limits(p99_ms=400, indeterminate=0.0)) == [
        "p99 is 500 ms; expected at most 400 ms",
        "the share of indeterminate verdicts is 1.0%; expected at most 0.0%",
    ]


def test_recovery_is_the_last_slow_second_behind_the_load() -> None:
    uploads = [sent(f"q{i}", i / 10, "quiet") for i in range(20)]
    uploads += [sent(f"l{i}", 2 + i / 10, "loaded") for i in range(10)]
    uploads += [sent(f"a{i}", 3 + i / 10, "after") for i in range(50)]
    slow_until = 5.0
    answers = {s.key: answer(s.key, s.due + (1.0 if 2 <= s.due < slow_until else 0.1)) for s in uploads}
    assert recovery(uploads, answers) == 3.0
    quick = {s.key: answer(s.key, s.due + 0.1) for s in uploads}
    assert recovery(uploads, quick) == 0.0
    assert recovery([s for s in uploads if s.phase == "quiet"], quick) is None


def sample(at: float, rss: int, descriptors: int = 10, cpu: float = 0.0, guard: float = 0.0) -> Sample:
    return Sample(at, rss, descriptors, cpu, guard)


def test_growth_leaves_out_the_warming_up() -> None:
    samples = [sample(i, 100 if i < 2 else 200, 10 + i) for i in range(8)]
    result = made([sent("a")], answer("a", 0.1), samples=samples)
    assert result.rss_growth == 0.0
    assert result.descriptor_growth == 4
    leaking = [sample(i, 100 + 10 * i) for i in range(8)]
    grown = made([sent("a")], answer("a", 0.1), samples=leaking)
    assert grown.misses(Limits(rss_growth=0.1)) == ["growth of memory is 32.0%; expected at most 10.0%"]


def test_the_cost_of_an_upload_is_shared_by_those_answered() -> None:
    samples = [sample(0, 1, cpu=1.0, guard=0.5), sample(1, 1, cpu=1.2, guard=0.6)]
    result = made([sent("a"), sent("b")], answer("a", 0.1), answer("b", 0.1), samples=samples)
    assert (result.cpu_ms_per_upload, result.guard_ms_per_upload) == (pytest.approx(100), pytest.approx(50))


def test_a_percentile_and_the_spread_of_a_ratio() -> None:
    times = [float(ms) for ms in range(1, 101)]
    assert (cut(times, 0.99), cut(times, 0.5), cut([], 0.5)) == (100.0, 51.0, 0.0)
    low, high = spread([2 * ms for ms in times], times)
    assert low < 2.0 < high
