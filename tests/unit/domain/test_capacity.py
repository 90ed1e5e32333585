"""The calculator's arithmetic, with coefficients that can be followed by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniguard.domain.capacity import UNITS, Coefficients, Prices, Sizing, Traffic, labels, plan

PLAIN = Coefficients("test", "GPU", dict.fromkeys(UNITS, 0.0), dict.fromkeys(UNITS, "here"))


def of(**values: float) -> Coefficients:
    return replace(PLAIN, values={**PLAIN.values, **values})


def test_replicas_stay_under_the_utilisation_and_the_spare_one_comes_on_top() -> None:
    found = plan(Traffic(100), of(label_text=0.012), Sizing(utilisation=0.6, spare=1))
    assert (found.guard_units, found.replicas, found.replica_utilisation) == (pytest.approx(1.2), 3, pytest.approx(0.6))


def test_what_fills_a_replica_exactly_needs_no_further_one() -> None:
    assert plan(Traffic(60), of(label_text=0.01), Sizing(utilisation=0.6, spare=0)).replicas == 1
    assert plan(Traffic(61), of(label_text=0.01), Sizing(utilisation=0.6, spare=0)).replicas == 2


def test_cached_uploads_ask_no_guard_and_still_cost_the_worker() -> None:
    found = plan(Traffic(100, cached=0.75), of(label_text=0.01, worker_upload=0.01, worker_image=1.0), Sizing())
    assert (found.guard_units, found.worker_cores, found.workers) == (pytest.approx(0.25), pytest.approx(1.0), 2)


def test_labels_of_each_kind() -> None:
    traffic = Traffic(1, texts=2, text_chars=1000, images=1, audio_seconds=10, video_seconds=12, flagged=0.5)
    assert labels(traffic) == {"label_text": 2, "label_image": 1.5, "label_audio": 3.0, "label_video": 4.0}
    assert labels(replace(traffic, text_chars=1001))["label_text"] == 4


def test_decoding_takes_the_decoders_and_not_the_loop() -> None:
    found = plan(Traffic(10, video_seconds=10), of(worker_video_second=0.05), Sizing(decoders=2, utilisation=0.5))
    assert (found.worker_cores, found.workers, found.worker_utilisation) == (pytest.approx(5.0), 5, pytest.approx(0.5))


def test_partitions_are_at_least_twice_the_workers() -> None:
    few, many = (plan(Traffic(rate), of(worker_upload=0.06), Sizing()) for rate in (10, 100))
    assert (few.workers, few.partitions, many.workers, many.partitions) == (1, 12, 10, 24)


def test_redis_keeps_new_uploads_for_their_days() -> None:
    found = plan(
        Traffic(10, average=0.5, cached=0.5, video_seconds=18), of(redis_upload=1024, redis_segment=512), Sizing(redis_days=2)
    )
    assert found.redis_gib == pytest.approx(10 * 0.5 * 0.5 * 2 * 86_400 * (1024 + 3 * 512) / 2**30)


def test_costs_are_told_where_prices_are() -> None:
    traffic, guard = Traffic(10, average=0.5), of(label_text=0.01)
    assert plan(traffic, guard, prices=Prices(worker_hour=1.0)).cost_month is None
    found = plan(traffic, guard, prices=Prices(0.1, 2.0, 5.0, fixed_month=100.0))
    assert found.cost_month == pytest.approx(0.1 * 730 + 2 * 2.0 * 730 + 100)
    assert found.cost_month is not None
    assert found.cost_per_1000 == pytest.approx(found.cost_month / (10 * 0.5 * 730 * 3600) * 1000)


@given(
    rate=st.floats(0.01, 10_000),
    more=st.floats(1, 10),
    share=st.floats(0, 1),
    utilisation=st.floats(0.1, 0.95),
    values=st.lists(st.floats(0, 2), min_size=len(UNITS), max_size=len(UNITS)),
)
def test_more_never_needs_less(rate: float, more: float, share: float, utilisation: float, values: list[float]) -> None:
    coefficients, sizing = of(**dict(zip(UNITS, values, strict=True))), Sizing(utilisation=utilisation)
    little = plan(Traffic(rate, images=1, cached=share), coefficients, sizing)
    much = plan(Traffic(rate * more, images=1, cached=share), coefficients, sizing)
    assert much.replicas >= little.replicas >= 2
    assert much.workers >= little.workers >= 1
    assert much.partitions >= 2 * much.workers
    assert little.replica_utilisation <= utilisation + 1e-6
