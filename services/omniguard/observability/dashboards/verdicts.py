"""What the service says of uploads: for those who answer for trust and safety."""

from __future__ import annotations

from omniguard.observability.dashboards.grafana import Board, Panel, Query, Row, quantile

_ALL = "sum(rate(omniguard_verdicts_total[$__rate_interval]))"
_FINAL = 'sum(rate(omniguard_verdicts_total{status="final"}[$__rate_interval]))'


def _share(title: str, of: str, matching: str, among: str, *, steps: tuple[float, float] | None = None) -> Panel:
    share = f"sum(rate(omniguard_verdicts_total{{{matching}}}[$__rate_interval])) / {among}"
    return Panel(title, of, "percentunit", (Query(share),), kind="stat", width=4, steps=steps)


VERDICTS = Board(
    uid="omniguard-verdicts",
    title="OmniGuard: verdicts",
    description="What uploads come to, what could not be judged and why, and how long a verdict takes.",
    told_by="omniguard_worker_ready",
    rows=(
        Row(
            "Now",
            (
                Panel(
                    "Verdicts",
                    "Verdicts published a second: provisional, final, indeterminate and retracted ones.",
                    "ops",
                    (Query(_ALL),),
                    kind="stat",
                    width=4,
                ),
                _share("Blocked", "Share of the final verdicts that ask for block.", 'status="final",action="block"', _FINAL),
                _share(
                    "For review", "Share of the final verdicts that ask for review.", 'status="final",action="review"', _FINAL
                ),
                _share(
                    "Not judged",
                    "Share of all verdicts that are indeterminate: the tenant's fallback action is in force until the late lane "
                    "comes to more.",
                    'status="indeterminate"',
                    _ALL,
                    steps=(0.02, 0.05),
                ),
                _share(
                    "Fully assessed",
                    "Share of the final verdicts for which every category of the policy was assessed on everything in the "
                    "upload.",
                    'status="final",assurance="full"',
                    _FINAL,
                ),
                Panel(
                    "99 % are judged within",
                    "Time from the broker's timestamp of an upload to its acknowledged verdict, on the live lane.",
                    "s",
                    (Query(quantile(0.99, 'omniguard_verdict_age_seconds{lane="live"}')),),
                    kind="stat",
                    width=4,
                    alerts=("OmniGuardDeadlineMissesFast",),
                ),
            ),
        ),
        Row(
            "What uploads come to",
            (
                Panel(
                    "Final verdicts by action",
                    "What the platform was asked to do. A sudden change follows a new policy, a new model or another kind of "
                    "upload.",
                    "ops",
                    (Query('sum by (action) (rate(omniguard_verdicts_total{status="final"}[$__rate_interval]))', "{{action}}"),),
                    stacked=True,
                ),
                Panel(
                    "Verdicts by status",
                    "Provisional ones come while a long upload is still examined; retracted ones answer deletions.",
                    "ops",
                    (Query("sum by (status) (rate(omniguard_verdicts_total[$__rate_interval]))", "{{status}}"),),
                    stacked=True,
                    alerts=("OmniGuardNoVerdicts",),
                ),
                Panel(
                    "Categories found",
                    "Categories named by final verdicts that ask for review or block; an upload may have several. other: a "
                    "name of "
                    "the operator's policy that is none of ours.",
                    "ops",
                    (
                        Query(
                            "sum by (category) (rate(omniguard_verdict_categories_total[$__rate_interval])) > 0", "{{category}}"
                        ),
                    ),
                    stacked=True,
                ),
            ),
        ),
        Row(
            "Not judged",
            (
                Panel(
                    "Indeterminate verdicts by reason",
                    "Why no answer was given. deadline, fetch_failed, guard_* and internal_error are ours; the others are what "
                    "uploads hold or refer to.",
                    "ops",
                    (Query("sum by (reason) (rate(omniguard_indeterminate_total[$__rate_interval])) > 0", "{{reason}}"),),
                    stacked=True,
                    alerts=("OmniGuardIndeterminateService", "OmniGuardIndeterminateContent", "OmniGuardCrashSuspect"),
                ),
                Panel(
                    "What is done meanwhile",
                    "Action of the indeterminate verdicts: the tenant's fallback, or what was found in the part that was "
                    "examined.",
                    "ops",
                    (
                        Query(
                            'sum by (action) (rate(omniguard_verdicts_total{status="indeterminate"}[$__rate_interval]))',
                            "{{action}}",
                        ),
                    ),
                    stacked=True,
                ),
                Panel(
                    "Sent to a slower lane",
                    "backfill: over a tenant's quota, or long media. late: indeterminate for a passing reason, and judged "
                    "again there.",
                    "ops",
                    (Query("sum by (target) (rate(omniguard_events_deferred_total[$__rate_interval]))", "{{target}}"),),
                    alerts=("OmniGuardLateLaneNearGivingUp",),
                ),
            ),
        ),
        Row(
            "Time to the verdict",
            (
                Panel(
                    "Age of verdicts",
                    "From the broker's timestamp to the acknowledged verdict: median, and what 99 % stay within, by lane.",
                    "s",
                    (
                        Query(quantile(0.5, "omniguard_verdict_age_seconds", "lane"), "{{lane}}, median"),
                        Query(quantile(0.99, "omniguard_verdict_age_seconds", "lane"), "{{lane}}, 99 %"),
                    ),
                    alerts=("OmniGuardDeadlineMissesFast", "OmniGuardDeadlineMissesSlow"),
                ),
                Panel(
                    "Too late",
                    "Share of a lane's verdicts that came after their deadline or say that it passed. The aim is under 1 %.",
                    "percentunit",
                    (
                        Query(
                            "sum by (lane) (rate(omniguard_deadline_misses_total[$__rate_interval])) "
                            "/ sum by (lane) (rate(omniguard_verdict_age_seconds_count[$__rate_interval]))",
                            "{{lane}}",
                        ),
                    ),
                    alerts=("OmniGuardDeadlineMissesFast", "OmniGuardDeadlineMissesSlow"),
                ),
                Panel(
                    "Critiques",
                    "Written explanations that follow a verdict, by outcome; for all but the written ones the platform is "
                    "told why "
                    "there is none.",
                    "ops",
                    (Query("sum by (outcome) (rate(omniguard_critiques_total[$__rate_interval]))", "{{outcome}}"),),
                    stacked=True,
                    alerts=("OmniGuardCritiquesMissing",),
                ),
            ),
        ),
        Row(
            "How far to trust it",
            (
                Panel(
                    "Assurance of final verdicts",
                    "partial: some category could not be assessed on some part; the verdict's coverage lists which.",
                    "ops",
                    (
                        Query(
                            'sum by (assurance) (rate(omniguard_verdicts_total{status="final"}[$__rate_interval]))',
                            "{{assurance}}",
                        ),
                    ),
                    stacked=True,
                    width=6,
                ),
                Panel(
                    "Calibration",
                    "Decisions by whether scores went through a calibration. Without one, block becomes review unless the policy "
                    "says otherwise.",
                    "ops",
                    (Query("sum by (outcome) (rate(omniguard_calibration_total[$__rate_interval]))", "{{outcome}}"),),
                    stacked=True,
                    width=6,
                ),
                Panel(
                    "Tenants in trial",
                    "Verdicts of tenants that the platform enforces, and of those in trial.",
                    "ops",
                    (Query("sum by (enforce) (rate(omniguard_verdicts_total[$__rate_interval]))", "enforced: {{enforce}}"),),
                    stacked=True,
                    width=6,
                ),
                Panel(
                    "Worth a look",
                    "Content that imitates the guard's prompt, names that map to no category of the policy, and hints at "
                    "risks that "
                    "no policy lists.",
                    "short",
                    (
                        Query("sum(increase(omniguard_guard_evasions_total[1h]))", "evasions in an hour"),
                        Query("sum(increase(omniguard_unmapped_names_total[1h]))", "unmapped names in an hour"),
                        Query("sum(increase(omniguard_emerging_risks_total[1h]))", "emerging risks in an hour"),
                    ),
                    width=6,
                ),
            ),
        ),
        Row(
            "First stage of a cascade",
            (
                Panel(
                    "What the first stage does",
                    "passed: it stood for the full model. The others went on to the full model, for the reason named.",
                    "ops",
                    (Query("sum by (outcome) (rate(omniguard_cascade_uploads_total[$__rate_interval])) > 0", "{{outcome}}"),),
                    stacked=True,
                    always=False,
                    alerts=("OmniGuardCascadeAway",),
                ),
                Panel(
                    "Harm that it lets pass",
                    "Share of harm among what it would have allowed, by the full model's look at a sample: each worker's latest "
                    "audits, with the ends of the 95 % interval.",
                    "percentunit",
                    (Query("max by (bound) (omniguard_cascade_missed_harm)", "{{bound}}"),),
                    always=False,
                    alerts=("OmniGuardCascadeMissesHarm",),
                ),
                Panel(
                    "Audits",
                    "Uploads that the first stage would have allowed and the full model judged all the same.",
                    "short",
                    (Query("sum by (result) (increase(omniguard_cascade_audits_total[1h]))", "{{result}}, in an hour"),),
                    alerts=("OmniGuardCascadeUnaudited",),
                ),
            ),
            closed=True,
        ),
    ),
)
