"""Actions, policies and tenants as values."""

from __future__ import annotations

from dataclasses import replace

from omniguard.contracts.policy_file import shipped_policy
from omniguard.domain.policy import Action, Category, Severity, Subcategory, Threshold
from omniguard.domain.spans import Span, fit
from omniguard.domain.tenant import Tenant, Tenants

POLICY = shipped_policy("default")


def test_actions_are_ordered_by_severity_not_by_spelling() -> None:
    assert Action.ALLOW < Action.REVIEW < Action.BLOCK
    assert Action.BLOCK >= Action.REVIEW > Action.ALLOW <= Action.ALLOW
    assert max(Action.REVIEW, Action.BLOCK, Action.ALLOW) is Action.BLOCK
    assert sorted(Action, reverse=True) == [Action.BLOCK, Action.REVIEW, Action.ALLOW]


def test_prompt_digest_is_of_names_and_descriptions_only() -> None:
    first, *rest = POLICY.categories
    told_otherwise = replace(POLICY, categories=(replace(first, description="other"), *rest))
    narrower = replace(POLICY, categories=(replace(first, subcategories=(Subcategory("a", "b"),)), *rest))
    settled_otherwise = replace(
        POLICY,
        categories=(replace(first, severity=Severity.LOW, at_most=Action.ALLOW), *rest),
        thresholds={**POLICY.thresholds, "text": Threshold(0.1, 0.2)},
    )
    assert settled_otherwise.prompt_digest == POLICY.prompt_digest
    assert len({POLICY.prompt_digest, told_otherwise.prompt_digest, narrower.prompt_digest}) == 3


def test_subcategories_are_told_to_the_guard() -> None:
    category = Category("hate", "Degrading people.", Severity.HIGH, subcategories=(Subcategory("slurs", "Words that degrade."),))
    assert category.prompt == "Degrading people. slurs: Words that degrade."


def test_spans_join_across_the_smallest_gaps_and_never_across_parts() -> None:
    def span(part: str, t0: float, t1: float, name: str = "hate", score: float = 0.6) -> Span:
        return Span(part, t0, t1, (name,), score, ("video",))

    spans = [span("a", 0, 6), span("a", 6, 12, "test", 0.9), span("a", 60, 66), span("b", 66, 72)]
    assert fit(spans, 4) == tuple(spans)
    assert fit(spans, 3) == (Span("a", 0, 12, ("hate", "test"), 0.9, ("video",)), spans[2], spans[3])
    assert [(s.part, s.t0, s.t1) for s in fit(spans, 1)] == [("a", 0, 66), ("b", 66, 72)]


def test_an_unlisted_tenant_gets_the_default_under_its_own_name() -> None:
    acme = Tenant("acme", POLICY, 4)
    assert Tenants({"acme": acme}).find("other") is None
    tenants = Tenants({"acme": acme}, Tenant("", POLICY, 1))
    assert tenants.find("acme") is acme
    assert tenants.find("other") == Tenant("other", POLICY, 1)
