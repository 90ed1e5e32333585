"""Any order and any duplication of the same records end in the same state: the largest (version, epoch, revision) stands."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from omniguard.consume import VerdictTable
from omniguard.contracts.verdict import CacheData, VerdictData
from omniguard.domain.content import Cause, Identity
from omniguard.domain.decision import Assurance, Status
from omniguard.domain.policy import Action
from omniguard.domain.revision import FINAL, INDETERMINATE, RETRACTED, provisional, revision, verdict_id
from property.policies import LAWS

RANKS = {Status.FINAL: FINAL, Status.INDETERMINATE: INDETERMINATE, Status.RETRACTED: RETRACTED}


def verdict(
    content: str, version: int, epoch: int, request: int, status: Status, merged: int = 1, action: Action = Action.BLOCK
) -> VerdictData:
    number = provisional(request, merged) if status is Status.PROVISIONAL else revision(request, RANKS[status])
    identity = Identity("acme", content, version)
    return VerdictData(
        tenant="acme",
        content_id=content,
        content_version=version,
        verdict_id=verdict_id(identity, epoch, number),
        policy_epoch=epoch,
        revision=number,
        cause=Cause.UPLOAD,
        status=status,
        action=action,
        enforce=True,
        assurance=Assurance.FULL,
        reason=None,
        explanation="",
        unsafe=0.5,
        categories=(),
        segments=(),
        coverage={},
        policy=None,
        model=None,
        cache=CacheData(hit=False, kind=None),
        timings_ms={},
        critique_ref=None,
    )


RECORDS = st.lists(
    st.builds(
        verdict,
        st.sampled_from(["a", "b"]),
        st.integers(1, 2),
        st.integers(1, 2),
        st.integers(0, 1),
        st.sampled_from(Status),
        st.integers(1, 3),
    ),
    max_size=8,
)


def state(records: list[VerdictData]) -> dict[str, VerdictData | None]:
    table = VerdictTable()
    for record in records:
        table.apply(record)
    return {key: table.get(key) for key in ("acme|a", "acme|b")}


@LAWS
@given(RECORDS, st.randoms())
def test_order_and_duplicates_do_not_matter(records: list[VerdictData], random) -> None:
    delivered = records + random.sample(records, len(records) // 2)
    random.shuffle(delivered)
    assert state(delivered) == state(records)
    for key, standing in state(records).items():
        assert standing == max((r for r in records if r.key == key), key=lambda r: r.order, default=None)


@LAWS
@given(RECORDS)
def test_a_redelivery_after_everything_changes_nothing(records: list[VerdictData]) -> None:
    table = VerdictTable()
    for record in records:
        table.apply(record)
    assert not any(table.apply(record) for record in records)


@LAWS
@given(st.sampled_from([Action.ALLOW, Action.REVIEW]))
def test_of_two_records_with_one_id_the_first_stands(action: Action) -> None:
    table = VerdictTable()
    first = verdict("a", 1, 1, 0, Status.FINAL)
    assert table.apply(first)
    assert not table.apply(verdict("a", 1, 1, 0, Status.FINAL, action=action))
    assert table.get("acme|a") == first


def test_no_provisional_or_indeterminate_displaces_a_final_of_the_same_request() -> None:
    table = VerdictTable()
    final = verdict("a", 1, 1, 0, Status.FINAL)
    assert table.apply(final)
    assert not table.apply(verdict("a", 1, 1, 0, Status.PROVISIONAL, merged=10**9))
    assert not table.apply(verdict("a", 1, 1, 0, Status.INDETERMINATE))
    assert table.apply(verdict("a", 1, 1, 1, Status.PROVISIONAL))


def test_after_a_retraction_only_a_later_version_or_request_speaks_again() -> None:
    table = VerdictTable()
    assert table.apply(verdict("a", 1, 1, 0, Status.RETRACTED))
    assert not table.apply(verdict("a", 1, 1, 0, Status.FINAL))
    assert table.apply(verdict("a", 2, 1, 0, Status.FINAL))
