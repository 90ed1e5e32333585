"""Bounded loads over rendezvous hashing, whatever the addresses and the traffic."""

from __future__ import annotations

import math
import random
from contextlib import ExitStack

from hypothesis import given
from hypothesis import strategies as st

from omniguard.adapters.triton_balance import Loads, rendezvous

ADDRESSES = st.integers(1, 12).map(lambda n: [f"10.0.0.{i}:8001" for i in range(n)])


@given(ADDRESSES, st.lists(st.tuples(st.text(max_size=3), st.booleans()), max_size=120), st.randoms(use_true_random=False))
def test_no_request_lifts_an_address_over_the_bound(
    addresses: list[str], traffic: list[tuple[str, bool]], chance: random.Random
) -> None:
    """Requests come and end in any order; some contents are asked about again and again, some have no affinity."""
    loads, under_way = Loads(), list[tuple[str, ExitStack]]()
    for affinity, ends in traffic:
        if ends and under_way:
            under_way.pop(chance.randrange(len(under_way)))[1].close()
        chosen = loads.choose(affinity, addresses)
        one = ExitStack()
        one.enter_context(loads.under_way(chosen))
        under_way.append((chosen, one))
        at_it = sum(address == chosen for address, _ in under_way)
        assert at_it <= math.ceil(1.25 * len(under_way) / len(addresses))
    for _, one in under_way:
        one.close()
    assert loads.bound(addresses) == math.ceil(1.25 / len(addresses))


@given(ADDRESSES, st.integers(1, 1000), st.booleans())
def test_a_flood_reaches_every_address_by_many_contents_and_nearly_all_by_one(
    addresses: list[str], seed: int, one_content: bool
) -> None:
    loads, used = Loads(), set[str]()
    with ExitStack() as flood:
        for number in range(len(addresses) * 40):
            used.add(chosen := loads.choose(f"{seed}/{0 if one_content else number}", addresses))
            flood.enter_context(loads.under_way(chosen))
    assert len(used) >= (len(addresses) / 1.25 if one_content else len(addresses))


@given(ADDRESSES.filter(lambda some: len(some) > 1), st.sets(st.text(min_size=1), min_size=1, max_size=60), st.data())
def test_an_address_that_goes_moves_only_its_own(addresses: list[str], contents: set[str], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(addresses))
    left = [address for address in addresses if address != gone]
    loads = Loads()
    for content in contents:
        before, after = loads.choose(content, addresses), loads.choose(content, left)
        assert before in (after, gone)
        assert rendezvous(content, left) == [address for address in rendezvous(content, addresses) if address != gone]
        assert rendezvous(content, addresses[::-1]) == rendezvous(content, addresses)
