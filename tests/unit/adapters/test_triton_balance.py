from __future__ import annotations

from collections import Counter

from omniguard.adapters.triton_balance import Loads, rendezvous

ADDRESSES = [f"10.0.0.{n}:8001" for n in range(5)]


def test_contents_spread_over_all_addresses() -> None:
    shares = Counter(rendezvous(f"content-{n}", ADDRESSES)[0] for n in range(1000))
    assert set(shares) == set(ADDRESSES)
    assert max(shares.values()) < 1.25 * 1000 / len(ADDRESSES)


def test_without_affinity_every_address_is_first_now_and_then() -> None:
    assert {rendezvous("", ADDRESSES)[0] for _ in range(400)} == set(ADDRESSES)


def test_an_address_that_has_its_share_is_passed_over_for_the_next_and_taken_again_when_it_has_room() -> None:
    loads = Loads()
    first, second = rendezvous("content", ADDRESSES)[:2]
    assert loads.bound(ADDRESSES) == 1
    with loads.under_way(first):
        assert loads.choose("content", ADDRESSES) == second
        assert loads.choose("content", [first]) == first
        with loads.under_way(second), loads.under_way(ADDRESSES[0]), loads.under_way(ADDRESSES[1]):
            assert loads.bound(ADDRESSES) == 2
    assert loads.choose("content", ADDRESSES) == first
