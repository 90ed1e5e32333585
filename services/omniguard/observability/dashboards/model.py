"""The guard model: how fast it answers, what waits for it, how often it breaks, and what Triton and the GPUs tell."""

from __future__ import annotations

from omniguard.observability.dashboards.grafana import Board, Panel, Query, Row, quantile

MODEL = Board(
    uid="omniguard-model",
    title="OmniGuard: guard model",
    description="Triton and the model in it, as workers, supervisors and Triton itself see them.",
    told_by="omniguard_model_state",
    lanes=False,
    rows=(
        Row(
            "Now",
            (
                Panel(
                    "Models healthy",
                    "Replicas whose supervisor found the model healthy at its last look.",
                    "short",
                    (Query('sum(omniguard_model_state{kind="healthy"})'),),
                    kind="stat",
                    width=4,
                    alerts=("OmniGuardModelBroken", "OmniGuardSupervisorAbsent"),
                ),
                Panel(
                    "Models broken",
                    "Replicas whose model is dead, hung or failing; its process is being replaced.",
                    "short",
                    (Query('sum(omniguard_model_state{kind=~"dead|hung|failing"})'),),
                    kind="stat",
                    width=4,
                    steps=(1, 2),
                    alerts=("OmniGuardModelBroken", "OmniGuardModelNotMended"),
                ),
                Panel(
                    "Live labels waiting",
                    "Requests of the live lane that wait for their turn, over all replicas.",
                    "short",
                    (Query('sum(omniguard_model_waiting_requests{priority="live"})'),),
                    kind="stat",
                    width=4,
                    alerts=("OmniGuardModelQueueOld",),
                ),
                Panel(
                    "Oldest live wait",
                    "How long the live request that has waited longest has waited for its turn.",
                    "s",
                    (Query('max(omniguard_model_oldest_wait_seconds{priority="live"})'),),
                    kind="stat",
                    width=4,
                    steps=(1, 5),
                    alerts=("OmniGuardModelQueueOld",),
                ),
                Panel(
                    "99 % of labels within",
                    "One request for a label, as a worker sees it, retries included.",
                    "s",
                    (Query(quantile(0.99, 'omniguard_guard_duration_seconds{mode="label",stage="full"}')),),
                    kind="stat",
                    width=4,
                ),
                Panel(
                    "Oldest good canary",
                    "Since the supervisor's harmless text was last answered, at the replica where that is longest ago.",
                    "s",
                    (Query("max(time() - omniguard_canary_last_success_timestamp_seconds)"),),
                    kind="stat",
                    width=4,
                    steps=(60, 300),
                    alerts=("OmniGuardCanaryStale",),
                ),
            ),
        ),
        Row(
            "Requests, as workers see them",
            (
                Panel(
                    "Time to a label",
                    "One request to the full model, retries included.",
                    "s",
                    (
                        Query(quantile(0.5, 'omniguard_guard_duration_seconds{mode="label",stage="full"}'), "median"),
                        Query(quantile(0.99, 'omniguard_guard_duration_seconds{mode="label",stage="full"}'), "99 %"),
                    ),
                    alerts=("OmniGuardDeadlineMissesFast",),
                ),
                Panel(
                    "Time to a critique",
                    "The whole text; verdicts never wait for it.",
                    "s",
                    (
                        Query(quantile(0.5, 'omniguard_guard_duration_seconds{mode="critique"}'), "median"),
                        Query(quantile(0.99, 'omniguard_guard_duration_seconds{mode="critique"}'), "99 %"),
                    ),
                    alerts=("OmniGuardCritiquesMissing",),
                ),
                Panel(
                    "Requests by outcome",
                    "After all retries.",
                    "ops",
                    (
                        Query(
                            'sum by (mode, outcome) (rate(omniguard_guard_requests_total{stage="full"}[$__rate_interval])) > 0',
                            "{{mode}}: {{outcome}}",
                        ),
                    ),
                    stacked=True,
                    alerts=("OmniGuardIndeterminateService",),
                ),
                Panel(
                    "Retries",
                    "Attempts repeated on another replica, or after a pause because the model was full or away.",
                    "ops",
                    (Query('sum by (mode) (rate(omniguard_guard_retries_total{stage="full"}[$__rate_interval]))', "{{mode}}"),),
                ),
                Panel(
                    "Servers by circuit breaker",
                    "Over all workers: one breaker for each server that a worker knows. open: left alone because it failed.",
                    "short",
                    (Query('sum by (state) (omniguard_breaker_state{part="triton"})', "{{state}}"),),
                    stacked=True,
                    alerts=("OmniGuardTritonAway", "OmniGuardBreakerOpen"),
                ),
                Panel(
                    "First stage of a cascade",
                    "Requests to it by outcome.",
                    "ops",
                    (
                        Query(
                            'sum by (outcome) (rate(omniguard_guard_requests_total{stage="first"}[$__rate_interval])) > 0',
                            "{{outcome}}",
                        ),
                    ),
                    stacked=True,
                    always=False,
                    alerts=("OmniGuardCascadeAway",),
                ),
            ),
        ),
        Row(
            "The model's queue",
            (
                Panel(
                    "Requests waiting",
                    "For their turn in the model, by priority: labels of each lane, then critiques. By this Triton is scaled.",
                    "short",
                    (Query("sum by (priority) (omniguard_model_waiting_requests)", "{{priority}}"),),
                    stacked=True,
                    alerts=("OmniGuardModelQueueOld",),
                ),
                Panel(
                    "Oldest wait",
                    "At the replica where it is longest, by priority.",
                    "s",
                    (Query("max by (priority) (omniguard_model_oldest_wait_seconds)", "{{priority}}"),),
                    alerts=("OmniGuardModelQueueOld",),
                ),
                Panel(
                    "Is the load even?",
                    "Requests waiting at the replica that has most, and at the one that has fewest.",
                    "short",
                    (
                        Query("max(sum by (instance) (omniguard_model_waiting_requests))", "most"),
                        Query("min(sum by (instance) (omniguard_model_waiting_requests))", "fewest"),
                    ),
                ),
            ),
        ),
        Row(
            "Its health, as supervisors see it",
            (
                Panel(
                    "Models by state",
                    "What the last look at each replica's model found.",
                    "short",
                    (Query("sum by (kind) (omniguard_model_state)", "{{kind}}"),),
                    stacked=True,
                    alerts=("OmniGuardModelBroken", "OmniGuardSupervisorAbsent"),
                ),
                Panel(
                    "Which replica was broken when",
                    "A line for each replica: 1 while its model was healthy.",
                    "short",
                    (Query('max by (instance) (omniguard_model_state{kind="healthy"})', "{{instance}}"),),
                    kind="state-timeline",
                    alerts=("OmniGuardModelBroken", "OmniGuardModelDiesOften"),
                ),
                Panel(
                    "Faults and what met them",
                    "In an hour. nothing: a reload did not help, and Triton must be started again.",
                    "short",
                    (
                        Query("sum by (kind) (increase(omniguard_model_faults_total[1h]))", "found {{kind}}"),
                        Query("sum by (outcome) (increase(omniguard_model_heals_total[1h]))", "met by {{outcome}}"),
                    ),
                    alerts=("OmniGuardModelDiesOften", "OmniGuardModelNotMended"),
                ),
                Panel(
                    "Time to mend",
                    "From a fault found to a model that answers: the slowest of 99 %.",
                    "s",
                    (Query("histogram_quantile(0.99, sum by (le) (rate(omniguard_model_heal_seconds_bucket[1h])))", "99 %"),),
                    always=False,
                    alerts=("OmniGuardModelBroken",),
                ),
                Panel(
                    "A canary's way",
                    "The supervisor's harmless text, sent before all others: what is left of the time is the model's own.",
                    "s",
                    (
                        Query(quantile(0.5, "omniguard_canary_duration_seconds"), "median"),
                        Query(quantile(0.99, "omniguard_canary_duration_seconds"), "99 %"),
                    ),
                    alerts=("OmniGuardCanaryStale",),
                ),
                Panel(
                    "Canaries",
                    "By outcome.",
                    "ops",
                    (Query("sum by (outcome) (rate(omniguard_canaries_total[$__rate_interval]))", "{{outcome}}"),),
                    stacked=True,
                    alerts=("OmniGuardCanaryStale",),
                ),
            ),
        ),
        Row(
            "Triton itself",
            (
                Panel(
                    "Requests taken in",
                    "As Triton counts them: a request of this model counts when it is handed over, not when it is answered.",
                    "reqps",
                    (
                        Query('sum(rate(nv_inference_request_success{model="omniguard"}[$__rate_interval]))', "taken in"),
                        Query('sum(rate(nv_inference_request_failure{model="omniguard"}[$__rate_interval]))', "failed"),
                    ),
                ),
                Panel(
                    "Requests handed over at once",
                    "Mean of Triton's calls of the model. The engine makes batches of its own from what it holds.",
                    "short",
                    (
                        Query(
                            'sum(rate(nv_inference_request_success{model="omniguard"}[$__rate_interval])) '
                            '/ sum(rate(nv_inference_exec_count{model="omniguard"}[$__rate_interval]))',
                            "requests",
                        ),
                    ),
                ),
                Panel(
                    "Processors and memory",
                    "Share of the machine in use, where Triton runs.",
                    "percentunit",
                    (
                        Query("max(nv_cpu_utilization)", "processors"),
                        Query("max(nv_cpu_memory_used_bytes / nv_cpu_memory_total_bytes)", "memory"),
                    ),
                    most=1,
                ),
            ),
            closed=True,
        ),
        Row(
            "GPUs",
            (
                Panel(
                    "GPU in use",
                    "Share of the time in which the GPU computed anything. Full is not overloaded: see what waits.",
                    "percentunit",
                    (Query("nv_gpu_utilization", "{{instance}}, {{gpu_uuid}}"),),
                    most=1,
                    always=False,
                ),
                Panel(
                    "GPU memory in use",
                    "vLLM takes its share at the start and keeps it; more over time is a leak, or a process that was not ended.",
                    "percentunit",
                    (Query("nv_gpu_memory_used_bytes / nv_gpu_memory_total_bytes", "{{instance}}, {{gpu_uuid}}"),),
                    most=1,
                    always=False,
                ),
                Panel(
                    "GPU power",
                    "Draw of each GPU.",
                    "watt",
                    (Query("nv_gpu_power_usage", "{{instance}}, {{gpu_uuid}}"),),
                    always=False,
                ),
            ),
            closed=True,
        ),
    ),
)
