"""Every metric there is: its name, its labels with all values they may take, and what it means.

Names follow Prometheus: base units, `_total` for counters, `_ratio` for shares. `docs/metrics.md` is generated from here, and the
alert rules are tested against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from omniguard.domain.cascade import GoesOn, Stage
from omniguard.domain.decision import Assurance, Status
from omniguard.domain.lane import Lane
from omniguard.domain.policy import Action
from omniguard.domain.taxonomy import CATEGORIES, TEST, UNCATEGORIZED
from omniguard.domain.verdict import NoCritique
from omniguard.errors import Reason
from omniguard.guard.wire import Mode

Counter = Literal[
    "omniguard_events_started_total",
    "omniguard_events_finished_total",
    "omniguard_events_deferred_total",
    "omniguard_verdicts_total",
    "omniguard_verdict_categories_total",
    "omniguard_indeterminate_total",
    "omniguard_dead_letters_total",
    "omniguard_critiques_total",
    "omniguard_cache_lookups_total",
    "omniguard_guard_requests_total",
    "omniguard_guard_retries_total",
    "omniguard_published_total",
    "omniguard_publisher_replaced_total",
    "omniguard_redis_errors_total",
    "omniguard_calibration_total",
    "omniguard_cascade_uploads_total",
    "omniguard_cascade_audits_total",
    "omniguard_guard_evasions_total",
    "omniguard_unmapped_names_total",
    "omniguard_free_names_total",
    "omniguard_emerging_risks_total",
    "omniguard_model_faults_total",
    "omniguard_model_heals_total",
    "omniguard_canaries_total",
    "omniguard_deadline_misses_total",
    "omniguard_window_full_seconds_total",
    "omniguard_rebalances_total",
    "omniguard_drain_cancelled_events_total",
    "omniguard_decoder_exits_total",
]
Gauge = Literal[
    "omniguard_window_events",
    "omniguard_window_bytes",
    "omniguard_critique_window_events",
    "omniguard_ledger_depth",
    "omniguard_lag_age_seconds",
    "omniguard_publisher_available",
    "omniguard_cascade_missed_harm",
    "omniguard_dead_letter_limit_reached",
    "omniguard_media_folder_free_bytes",
    "omniguard_decoder_sandbox",
    "omniguard_model_state",
    "omniguard_model_waiting_requests",
    "omniguard_model_oldest_wait_seconds",
    "omniguard_canary_last_success_timestamp_seconds",
    "omniguard_worker_ready",
    "omniguard_lane_limit_seconds",
    "omniguard_window_ratio",
    "omniguard_redis_state",
    "omniguard_breaker_state",
]
Histogram = Literal[
    "omniguard_verdict_age_seconds",
    "omniguard_stage_duration_seconds",
    "omniguard_guard_duration_seconds",
    "omniguard_clock_skew_seconds",
    "omniguard_model_heal_seconds",
    "omniguard_canary_duration_seconds",
    "omniguard_drain_seconds",
]

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_AGE = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600, 3600, 21_600, 86_400)
# Symmetric: a producer's clock may be ahead (negative) or behind (positive) of the broker's.
_SKEW = (-3600, -60, -10, -1, -0.1, 0, 0.1, 1, 10, 60, 3600)


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric. `labels` maps a label to every value it may take; `buckets` belong to histograms."""

    help: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()


_OUTCOMES = ("final", "indeterminate", "retracted", "deferred", "dead_letter", "cancelled")
_GUARD_OUTCOMES = ("ok", "unavailable", "failed", "deadline", "unsupported", "not_assessed", "cancelled")
_MODES = tuple(Mode)
_FAULTS = ("dead", "hung", "failing")
_STAGES = tuple(Stage)
_LANES = tuple(Lane)
PRIORITIES = (*Lane, "critique")
"""Of the model's queue, the first before all others: labels by lane, then critiques."""
OTHER_CATEGORY = "other"
"""For a name that is in no taxonomy of ours: an operator's names are no label values."""
UNIDENTIFIABLE = "Unidentifiable"
"""The error class of a dead letter of which nobody can say whose content it is."""
STORE_UNAVAILABLE = "store_unavailable"
"""The error class of a deletion that the assessment store never took."""

COUNTERS: Final[Mapping[Counter, MetricSpec]] = {
    "omniguard_events_started_total": MetricSpec("Events taken into the label window."),
    "omniguard_events_finished_total": MetricSpec(
        "Events that ended, by how; cancelled ones were not acknowledged.", {"outcome": _OUTCOMES}
    ),
    "omniguard_events_deferred_total": MetricSpec(
        "Records republished to a slower lane, by that lane.", {"target": (Lane.BACKFILL, Lane.LATE)}
    ),
    "omniguard_verdicts_total": MetricSpec(
        "Verdicts by what they say; enforce is false for a tenant in trial, assurance partial where not every category could be "
        "assessed on everything.",
        {"status": tuple(Status), "action": tuple(Action), "assurance": tuple(Assurance), "enforce": ("true", "false")},
    ),
    "omniguard_verdict_categories_total": MetricSpec(
        "Categories named by final verdicts that ask for review or block; other: a policy's own name.",
        {"category": (*CATEGORIES, TEST, UNCATEGORIZED, OTHER_CATEGORY)},
    ),
    "omniguard_indeterminate_total": MetricSpec("Verdicts without an answer, by reason.", {"reason": tuple(Reason)}),
    "omniguard_dead_letters_total": MetricSpec(
        "Dead letters, by the stage that gave up and their error class.",
        {"stage": ("parse", "fetch", "chunk", "judge", "forget"), "error": (*Reason, UNIDENTIFIABLE, STORE_UNAVAILABLE)},
    ),
    "omniguard_critiques_total": MetricSpec(
        "Critiques asked for, by outcome; all but written are announced with their reason.",
        {"outcome": ("written", *NoCritique)},
    ),
    "omniguard_cache_lookups_total": MetricSpec(
        "Look-ups of kept work: an upload by the bytes read or by the sha256 its event claims, or the memo of one segment.",
        {"kind": ("content", "claimed", "segment"), "result": ("hit", "miss")},
    ),
    "omniguard_guard_requests_total": MetricSpec(
        "Requests to the guard model, or to the first stage of a cascade, after all retries.",
        {"mode": _MODES, "stage": _STAGES, "outcome": _GUARD_OUTCOMES},
    ),
    "omniguard_guard_retries_total": MetricSpec(
        "Attempts that were repeated, on another replica or after a pause.", {"mode": _MODES, "stage": _STAGES}
    ),
    "omniguard_published_total": MetricSpec("Records that every in-sync replica acknowledged."),
    "omniguard_publisher_replaced_total": MetricSpec(
        "Producers given up and made anew after an error that one producer cannot recover from."
    ),
    "omniguard_redis_errors_total": MetricSpec(
        "Failed calls of the store, each a miss; skipped ones were not tried while it is known to be away.",
        {"kind": ("timeout", "slow", "connection", "read_only", "refused", "response", "skipped", "value", "state")},
    ),
    "omniguard_calibration_total": MetricSpec(
        "Decisions by what became of the calibration: applied; none is loaded; it is another model's; it has no curve for such "
        "an upload.",
        {"outcome": ("applied", "none", "other_model", "no_curve")},
    ),
    "omniguard_cascade_uploads_total": MetricSpec(
        "Uploads that the first stage of a cascade was to look at: those it stood for, and by reason those that went on to the "
        "full model (audit: by chance, though it would have stood).",
        {"outcome": ("passed", *GoesOn)},
    ),
    "omniguard_cascade_audits_total": MetricSpec(
        "Uploads that the first stage would have stood for and the full model judged all the same, by what that found; nothing: "
        "it came to no judgement.",
        {"result": ("harmful", "harmless", "nothing")},
    ),
    "omniguard_guard_evasions_total": MetricSpec("Verdicts on content that imitates the guard's own prompt."),
    "omniguard_unmapped_names_total": MetricSpec(
        "Categories that the guard named in words, or by ids, which map to nothing in the policy."
    ),
    "omniguard_free_names_total": MetricSpec(
        "Names that a guard gave freely: sent by a worker; read by `omniguard emerging`, where unreadable ones are passed over.",
        {"outcome": ("sent", "read", "unreadable")},
    ),
    "omniguard_emerging_risks_total": MetricSpec("Hints published on `emerging-risks`."),
    "omniguard_model_faults_total": MetricSpec("Of the supervisor: faults found in the model.", {"kind": _FAULTS}),
    "omniguard_model_heals_total": MetricSpec(
        "Of the supervisor: faults by what met them; nothing means that Triton must be restarted.",
        {"outcome": ("reload", "restart", "nothing")},
    ),
    "omniguard_canaries_total": MetricSpec("Of the supervisor: canaries by outcome.", {"outcome": ("good", "failed")}),
    "omniguard_deadline_misses_total": MetricSpec(
        "Verdicts acknowledged after their event's deadline, or which say that it passed (`indeterminate: deadline`), by lane "
        "and the verdict's status; the late lane has no deadline.",
        {"lane": _LANES, "status": ("final", "indeterminate")},
    ),
    "omniguard_window_full_seconds_total": MetricSpec(
        "Seconds in which a record in hand waited for room, by what there was too much of: events, bytes, or offsets open "
        "behind a slow one; alone: a suspect of crashes ran, or waited to run, with no other.",
        {"lane": _LANES, "limit": ("events", "bytes", "open", "alone")},
    ),
    "omniguard_rebalances_total": MetricSpec("Rebalances of the consumer group that this worker took part in."),
    "omniguard_drain_cancelled_events_total": MetricSpec(
        "Events cut off unfinished because the time to drain was over; each is delivered again."
    ),
    "omniguard_decoder_exits_total": MetricSpec(
        "Decoder processes that ended, by cause: retired after their share of files; crashed, or killed from outside; cpu_time "
        "or stalled: killed at a limit; sandbox: killed because it asked the kernel for what no decoding needs; idle: found dead "
        "between two files; dropped: killed with a file that nobody waits for.",
        {"cause": ("retired", "crashed", "cpu_time", "stalled", "sandbox", "idle", "dropped")},
    ),
}
GAUGES: Final[Mapping[Gauge, MetricSpec]] = {
    "omniguard_window_events": MetricSpec("Events in the label window."),
    "omniguard_window_bytes": MetricSpec("Bytes held by events in the label window."),
    "omniguard_critique_window_events": MetricSpec("Events whose critique is awaited."),
    "omniguard_ledger_depth": MetricSpec("Offsets begun and not yet released, over all partitions."),
    "omniguard_lag_age_seconds": MetricSpec(
        "Age of the oldest event in hand short of its verdict, or waiting for room, by the broker's timestamp.", {"lane": _LANES}
    ),
    "omniguard_publisher_available": MetricSpec("1 while the broker answers the publisher, else 0."),
    "omniguard_cascade_missed_harm": MetricSpec(
        "Share of what the first stage would have stood for that the full model does not allow, over this process' latest audits "
        "(at most 5000), with the ends of Wilson's 95 % interval; absent before the first audit.",
        {"bound": ("low", "estimate", "high")},
    ),
    "omniguard_dead_letter_limit_reached": MetricSpec(
        "1 once there were too many dead letters and the worker stopped consuming."
    ),
    "omniguard_media_folder_free_bytes": MetricSpec("Room in the media folder; 0 where it cannot be written."),
    "omniguard_decoder_sandbox": MetricSpec(
        "1 for each part of the decoders' sandbox that this platform gives, else 0.",
        {"part": ("limits", "privileges", "namespaces", "landlock", "seccomp")},
    ),
    "omniguard_model_state": MetricSpec(
        "Of the supervisor: 1 for what its last look at the model found, else 0.",
        {"kind": ("healthy", "away", *_FAULTS)},
    ),
    "omniguard_model_waiting_requests": MetricSpec(
        "Of the supervisor: requests that wait for their turn in the model, by priority; 0 while the model does not tell.",
        {"priority": PRIORITIES},
    ),
    "omniguard_model_oldest_wait_seconds": MetricSpec(
        "Of the supervisor: how long the oldest of those requests has waited; 0 where none does.", {"priority": PRIORITIES}
    ),
    "omniguard_canary_last_success_timestamp_seconds": MetricSpec(
        "Of the supervisor: Unix time of the last canary that was answered; of its own start before the first."
    ),
    "omniguard_worker_ready": MetricSpec(
        "1 where a condition of /readyz holds, else 0.",
        {"lane": _LANES, "check": ("kafka", "guard", "consuming", "dead_letter_limit")},
    ),
    "omniguard_lane_limit_seconds": MetricSpec(
        "Longest an event may take from the broker's timestamp on: the lane's event time limit; on the late lane the age at "
        "which it gives up.",
        {"lane": _LANES},
    ),
    "omniguard_window_ratio": MetricSpec(
        "How much of a limit is used, from 0 to 1 and over it where one large upload passed it: events and bytes of the label "
        "window, offsets open, critiques waiting.",
        {"lane": _LANES, "resource": ("events", "bytes", "open", "critiques")},
    ),
    "omniguard_redis_state": MetricSpec(
        "1 for what the last call of Redis found, else 0; absent where no Redis is set.", {"state": ("available", "away")}
    ),
    "omniguard_breaker_state": MetricSpec(
        "Circuit breakers in each state: one for each server of the guard, and of the first stage, and each host of an object "
        "store that failed last.",
        {"part": ("triton", "first_stage", "object_store"), "state": ("closed", "half_open", "open")},
    ),
}
HISTOGRAMS: Final[Mapping[Histogram, MetricSpec]] = {
    "omniguard_verdict_age_seconds": MetricSpec(
        "From the broker's timestamp of an event to its acknowledged verdict.", {"lane": tuple(Lane)}, _AGE
    ),
    "omniguard_stage_duration_seconds": MetricSpec(
        "Time an event spent in a stage; publish: one record, until the broker has it.",
        {"stage": ("fetch", "chunk", "judge", "publish")},
        _FAST,
    ),
    "omniguard_guard_duration_seconds": MetricSpec(
        "One request to the guard, retries included.", {"mode": _MODES, "stage": _STAGES}, _FAST
    ),
    "omniguard_clock_skew_seconds": MetricSpec(
        "Broker timestamp minus the event's own time; negative where the producer's clock is ahead.", {}, _SKEW
    ),
    "omniguard_model_heal_seconds": MetricSpec("Of the supervisor: from a fault found to a model that answers.", {}, _AGE),
    "omniguard_canary_duration_seconds": MetricSpec("Of the supervisor: a canary's way through the model.", {}, _FAST),
    "omniguard_drain_seconds": MetricSpec("What running events were given on a revoke or stop, until all had ended.", {}, _FAST),
}
