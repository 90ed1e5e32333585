"""Right files: what they load to."""

from __future__ import annotations

from pathlib import Path

import pytest

from omniguard.contracts.policy_file import load_policy, shipped_names, shipped_policy
from omniguard.contracts.tenants_file import load_tenants
from omniguard.domain.content import Modality
from omniguard.domain.fetching import FetchRules, S3Source
from omniguard.domain.policy import Action, Outcome, Sustain, Threshold
from omniguard.domain.taxonomy import CATEGORIES, TEST
from omniguard.errors import Misconfigured
from omniguard.guard.lite.table import assessed

FILES = Path(__file__).parent / "wrong_files"
DEMO = Path("services/omniguard/policies/tenants-demo.yaml")


def test_ships_two_policies_over_the_whole_taxonomy() -> None:
    assert shipped_names() == ["default", "lite-demo"]
    for name in shipped_names():
        policy = shipped_policy(name)
        assert policy.id == name
        assert [c.name for c in policy.categories] == [*CATEGORIES, TEST]


def test_default_requires_everything_on_everything() -> None:
    policy = shipped_policy("default")
    assert policy.required == {m: frozenset({*CATEGORIES, TEST}) for m in Modality}
    assert not policy.allow_uncalibrated


def test_demo_requires_on_text_what_the_small_engine_was_measured_on_and_nothing_else() -> None:
    policy = shipped_policy("lite-demo")
    assert policy.allow_uncalibrated
    assert policy.required[Modality.TEXT] == assessed("text") | {TEST}
    assert not any(policy.required[m] for m in Modality if m is not Modality.TEXT)


def test_the_two_tell_the_guard_the_same() -> None:
    assert shipped_policy("default").prompt_digest == shipped_policy("lite-demo").prompt_digest


def test_loads_every_field() -> None:
    policy = load_policy(FILES / "policy_right.yaml")
    assert (policy.id, policy.version, policy.fallback, policy.uncategorized) == ("mine", 1, Action.REVIEW, Action.REVIEW)
    assert policy.thresholds["joint"] == Threshold(0.5, 0.9)
    assert policy.sustain == Sustain(2, 0.95)
    assert policy.required[Modality.TEXT] == {"hate", "test"}
    assert policy.required[Modality.IMAGE] == {"hate"}
    assert policy.required[Modality.VIDEO] == frozenset()
    assert policy.critique_for == {Outcome.BLOCK, Outcome.REVIEW}


def test_digest_is_of_what_the_file_says_not_of_how(tmp_path: Path) -> None:
    text = (FILES / "policy_right.yaml").read_text()

    def digest(changed: str) -> str:
        path = tmp_path / "policy.yaml"
        path.write_text(changed)
        return load_policy(path).digest

    assert digest(text) == digest("# a remark\n" + text.replace("[hate]", "\n    - hate"))
    assert digest(text) != digest(text.replace("fallback: review", "fallback: block"))
    assert digest(text) != digest(text.replace("block: 0.9", "block: 0.8", 1))


def test_no_shipped_policy_of_that_name() -> None:
    with pytest.raises(Misconfigured, match="expected one of default, lite-demo"):
        shipped_policy("../secrets")


def test_loads_tenants() -> None:
    tenants = load_tenants(FILES / "tenants_right.yaml", {"SAMPLES": "/srv/samples"})
    acme, other = tenants.find("acme"), tenants.find("other")
    assert acme is not None
    assert other is not None
    assert (acme.policy.id, acme.policy_epoch, acme.policy.fallback, acme.quota) == ("mine", 4, Action.BLOCK, 50.0)
    assert (acme.enforce, acme.trust_claimed_sha256) == (False, True)
    assert acme.fetch == FetchRules(
        public_http=False,
        hosts=("media.example",),
        networks=("10.0.0.0/8",),
        s3=(S3Source("uploads", "acme/", "http://store:9000", "eu-1", "acme"),),
        file_roots=("/srv/media", "/srv/samples/a"),
        max_redirects=1,
        max_bytes=1000,
    )
    assert (other.name, other.policy.id, other.policy.fallback, other.enforce) == ("other", "lite-demo", Action.REVIEW, True)
    assert acme.policy.digest == load_policy(FILES / "policy_right.yaml").digest


def test_the_demos_tenants_load_and_have_no_default() -> None:
    tenants = load_tenants(DEMO, {"SAMPLES": "/srv/samples"})
    assert tenants.find("stranger") is None
    acme = tenants.find("acme")
    assert acme is not None
    assert acme.fetch.file_roots == ("/srv/samples",)
