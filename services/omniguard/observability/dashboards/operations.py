"""Lanes, workers, and what they stand on: for those who run the service."""

from __future__ import annotations

from omniguard.observability.dashboards.borders import BORDERS
from omniguard.observability.dashboards.grafana import Board, Panel, Query, Row, quantile


def _stat(
    title: str, of: str, unit: str, expression: str, *alerts: str, steps: tuple[float, float] | None = None, legend: str = ""
) -> Panel:
    return Panel(title, of, unit, (Query(expression, legend),), kind="stat", width=4, alerts=alerts, steps=steps)


_FIRING = Panel(
    "Alerts firing",
    "Of this project's rules, where Prometheus loads them; each has its section in the runbook.",
    "short",
    (Query('count(ALERTS{alertname=~"OmniGuard.*",alertstate="firing"}) or vector(0)'),),
    kind="stat",
    width=4,
    steps=(1, 3),
)

OPERATIONS = Board(
    uid="omniguard-operations",
    title="OmniGuard: operations",
    description="How far each lane is behind, how full its workers are, and how Kafka, Redis and the object store get on.",
    told_by="omniguard_worker_ready",
    rows=(
        Row(
            "Now",
            (
                _FIRING,
                _stat(
                    "Workers not ready",
                    "Workers of which at least one condition of /readyz does not hold.",
                    "short",
                    "count(min by (lane, instance) (omniguard_worker_ready) == 0) or vector(0)",
                    "OmniGuardLaneNotReady",
                    "OmniGuardWorkerNotReady",
                    "OmniGuardWorkerAbsent",
                    "OmniGuardSlowLaneAbsent",
                    steps=(1, 2),
                ),
                _stat(
                    "Oldest live upload",
                    "Age of the oldest upload in hand of the live lane.",
                    "s",
                    'max(omniguard_lag_age_seconds{lane="live"})',
                    "OmniGuardLagAgeHigh",
                    steps=(10, 24),
                ),
                _stat(
                    "Dead letters in an hour",
                    "Records that nobody can name, and those whose content or reference is at fault.",
                    "short",
                    "sum(increase(omniguard_dead_letters_total[1h]))",
                    "OmniGuardDeadLetters",
                ),
                _stat(
                    "Circuit breakers open",
                    "Servers of the guard and hosts of an object store that workers leave alone because they failed.",
                    "short",
                    'sum(omniguard_breaker_state{state=~"open|half_open"}) or vector(0)',
                    "OmniGuardBreakerOpen",
                    steps=(1, 3),
                ),
                _stat(
                    "Workers without Redis",
                    "Each look-up of theirs is a miss: verdicts are right, and cost a full judgement.",
                    "short",
                    'sum(omniguard_redis_state{state="away"}) or vector(0)',
                    "OmniGuardRedisAway",
                    steps=(1, 2),
                ),
            ),
        ),
        Row(
            "Lag and deadlines",
            (
                Panel(
                    "Time used up by the oldest upload",
                    "Age of the oldest upload in hand over the longest that its lane allows. What waits behind it on the "
                    "topic is "
                    "younger, and will be as old.",
                    "percentunit",
                    (
                        Query(
                            "max by (lane) (omniguard_lag_age_seconds / on (lane, instance) omniguard_lane_limit_seconds)",
                            "{{lane}}",
                        ),
                    ),
                    alerts=("OmniGuardLagAgeHigh", "OmniGuardLateLaneNearGivingUp"),
                ),
                Panel(
                    "Oldest upload in hand",
                    "By the broker's timestamp, short of its verdict or waiting for room.",
                    "s",
                    (Query("max by (lane) (omniguard_lag_age_seconds)", "{{lane}}"),),
                    alerts=("OmniGuardLagAgeHigh", "OmniGuardLateLaneNearGivingUp"),
                ),
                Panel(
                    "Burn of the deadline allowance",
                    "1 uses the month's allowance of 1 % late verdicts up in a month, 14.4 in two days. A page goes out at "
                    "14.4 over "
                    "an hour, a ticket at 3 over a day.",
                    "short",
                    (
                        Query(
                            "sum by (lane) (rate(omniguard_deadline_misses_total[1h])) "
                            "/ sum by (lane) (rate(omniguard_verdict_age_seconds_count[1h])) / 0.01",
                            "{{lane}}, over an hour",
                        ),
                        Query(
                            "sum by (lane) (rate(omniguard_deadline_misses_total[1d])) "
                            "/ sum by (lane) (rate(omniguard_verdict_age_seconds_count[1d])) / 0.01",
                            "{{lane}}, over a day",
                        ),
                    ),
                    alerts=("OmniGuardDeadlineMissesFast", "OmniGuardDeadlineMissesSlow"),
                ),
            ),
        ),
        Row(
            "Workers",
            (
                Panel(
                    "How full the fullest worker is",
                    "Of each limit: events and bytes of the label window, offsets open behind a slow event, critiques waiting.",
                    "percentunit",
                    (Query("max by (lane, resource) (omniguard_window_ratio)", "{{lane}}, {{resource}}"),),
                    alerts=("OmniGuardWindowFull",),
                ),
                Panel(
                    "Waiting for room",
                    "Share of the time in which the average worker had no room for the next record, by what there was too "
                    "much of.",
                    "percentunit",
                    (
                        Query(
                            "sum by (lane, limit) (rate(omniguard_window_full_seconds_total[$__rate_interval])) "
                            "/ on (lane) group_left () count by (lane) (omniguard_lane_limit_seconds)",
                            "{{lane}}, {{limit}}",
                        ),
                    ),
                    alerts=("OmniGuardWindowFull",),
                ),
                Panel(
                    "Events ended",
                    "By how; cancelled ones were not acknowledged and come again.",
                    "ops",
                    (Query("sum by (outcome) (rate(omniguard_events_finished_total[$__rate_interval]))", "{{outcome}}"),),
                    stacked=True,
                    alerts=("OmniGuardNoVerdicts",),
                ),
                Panel(
                    "Where the time goes",
                    "What 99 % of the events stay within in each stage; publish: one record, until the broker has it.",
                    "s",
                    (Query(quantile(0.99, "omniguard_stage_duration_seconds", "stage"), "{{stage}}"),),
                    alerts=("OmniGuardDeadlineMissesFast",),
                ),
                Panel(
                    "Events in hand",
                    "In the label window, waiting for their critique, and offsets begun but not yet released.",
                    "short",
                    (
                        Query("sum(omniguard_window_events)", "judged"),
                        Query("sum(omniguard_critique_window_events)", "critique awaited"),
                        Query("sum(omniguard_ledger_depth)", "offsets open"),
                    ),
                ),
                Panel(
                    "Workers ready",
                    "Workers of each lane for which every condition of /readyz holds.",
                    "short",
                    (Query("sum by (lane) (min by (lane, instance) (omniguard_worker_ready))", "{{lane}}"),),
                    alerts=(
                        "OmniGuardWorkerAbsent",
                        "OmniGuardSlowLaneAbsent",
                        "OmniGuardLaneNotReady",
                        "OmniGuardWorkerNotReady",
                    ),
                ),
            ),
        ),
        Row(
            "Dead letters",
            (
                Panel(
                    "Dead letters by class",
                    "By the stage that gave up, and the error's class. `omniguard dlq list` names them.",
                    "ops",
                    (
                        Query(
                            "sum by (stage, error) (rate(omniguard_dead_letters_total[$__rate_interval])) > 0",
                            "{{stage}}: {{error}}",
                        ),
                    ),
                    stacked=True,
                    alerts=("OmniGuardDeadLetters", "OmniGuardDeletionUnfinished", "OmniGuardCrashSuspect"),
                    width=16,
                ),
                Panel(
                    "Workers that stopped",
                    "Nearly everything became a dead letter: they consume nothing more until somebody starts them again.",
                    "short",
                    (Query('sum(1 - omniguard_worker_ready{check="dead_letter_limit"})', "workers"),),
                    alerts=("OmniGuardDeadLetterLimitReached",),
                ),
            ),
        ),
        *BORDERS,
    ),
)
