"""What workers stand on: Kafka, Redis, decoders and disk. Rows of the board of operations."""

from __future__ import annotations

from typing import Final

from omniguard.observability.dashboards.grafana import Panel, Query, Row

BORDERS: Final = (
    Row(
        "Kafka",
        (
            Panel(
                "Records published",
                "Verdicts, critiques, dead letters and deferred events that every in-sync replica has.",
                "ops",
                (Query("sum(rate(omniguard_published_total[$__rate_interval]))", "records"),),
                width=6,
            ),
            Panel(
                "Workers that can publish",
                "1 where the broker answers every worker's publisher, 0 where it answers none.",
                "percentunit",
                (Query("avg(omniguard_publisher_available)", "of the workers"),),
                most=1,
                width=6,
                alerts=("OmniGuardPublisherUnavailable",),
            ),
            Panel(
                "Rebalances and what they cut off",
                "In half an hour: rebalances that a worker took part in, publishers made anew, and events that a drain cut off.",
                "short",
                (
                    Query("max(increase(omniguard_rebalances_total[30m]))", "rebalances of one worker"),
                    Query("sum(increase(omniguard_publisher_replaced_total[30m]))", "publishers replaced"),
                    Query("sum(increase(omniguard_drain_cancelled_events_total[30m]))", "events cut off"),
                ),
                width=6,
                alerts=("OmniGuardRebalancing", "OmniGuardDrainCancelled"),
            ),
            Panel(
                "Clocks that differ",
                "Share of the events that bear a time more than a minute off the broker's.",
                "percentunit",
                (
                    Query(
                        '(sum(rate(omniguard_clock_skew_seconds_bucket{le="-60.0"}[$__rate_interval])) '
                        "+ sum(rate(omniguard_clock_skew_seconds_count[$__rate_interval])) "
                        '- sum(rate(omniguard_clock_skew_seconds_bucket{le="60.0"}[$__rate_interval]))) '
                        "/ sum(rate(omniguard_clock_skew_seconds_count[$__rate_interval]))",
                        "events",
                    ),
                ),
                width=6,
                alerts=("OmniGuardClockSkew",),
            ),
        ),
    ),
    Row(
        "Redis and the cache",
        (
            Panel(
                "Found in the cache",
                "Share of the look-ups that were hits: of whole uploads by the bytes read or the sha256 claimed, and of "
                "segments.",
                "percentunit",
                (
                    Query(
                        'sum by (kind) (rate(omniguard_cache_lookups_total{result="hit"}[$__rate_interval])) '
                        "/ sum by (kind) (rate(omniguard_cache_lookups_total[$__rate_interval]))",
                        "{{kind}}",
                    ),
                ),
                most=1,
                alerts=("OmniGuardCacheHitsDropped",),
            ),
            Panel(
                "Errors of Redis",
                "Failed calls, each a miss; skipped ones were not tried while it is known to be away.",
                "ops",
                (Query("sum by (kind) (rate(omniguard_redis_errors_total[$__rate_interval])) > 0", "{{kind}}"),),
                stacked=True,
                always=False,
                alerts=("OmniGuardRedisAway", "OmniGuardRedisRefuses"),
            ),
            Panel(
                "Workers that have Redis",
                "By what the last call of each worker found.",
                "short",
                (Query("sum by (state) (omniguard_redis_state)", "{{state}}"),),
                alerts=("OmniGuardRedisAway",),
            ),
        ),
    ),
    Row(
        "Decoders and disk",
        (
            Panel(
                "Decoder processes that ended",
                "retired and idle are everyday; crashed, cpu_time, stalled and sandbox each cost a part its examination.",
                "short",
                (Query("sum by (cause) (increase(omniguard_decoder_exits_total[15m]))", "{{cause}}, in 15 min"),),
                alerts=("OmniGuardDecoderCrashes", "OmniGuardHostileFile"),
            ),
            Panel(
                "Room for media",
                "Free bytes in the media folder of the worker that has least.",
                "bytes",
                (Query("min(omniguard_media_folder_free_bytes)", "least"),),
                alerts=("OmniGuardMediaFolderFull",),
            ),
            Panel(
                "Walls around the decoders",
                "Share of the workers whose platform gives each part of the sandbox.",
                "percentunit",
                (Query("avg by (part) (omniguard_decoder_sandbox)", "{{part}}"),),
                most=1,
                alerts=("OmniGuardDecoderUnconfined",),
            ),
        ),
        closed=True,
    ),
)
