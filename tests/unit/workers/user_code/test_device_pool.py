"""Which devices, or shares of them, trials of users' code have."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.fleet.device_group import DeviceGroup
from workers.user_code.device_pool import DevicePool

FOUR = DeviceGroup(("cuda:0", "cuda:1", "cuda:2", "cuda:3"))
ONE = DeviceGroup(("cuda:0",))


def test_a_trial_of_the_whole_group_has_it_to_itself() -> None:
    pool = DevicePool(FOUR, trials_per_device=8)

    assert pool.take("a", 4) == FOUR
    assert pool.room == 0
    assert pool.take("b", 0.25) is None

    pool.give_back("a")
    assert pool.room == 1
    assert pool.take("b", 4) == FOUR


def test_trials_of_one_device_are_spread_over_the_group() -> None:
    pool = DevicePool(FOUR)

    taken = [pool.take(name, 1) for name in "abcd"]
    assert [str(devices) for devices in taken] == ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]
    assert pool.take("e", 1) is None

    pool.give_back("c")
    assert str(pool.take("e", 1)) == "cuda:2"


@pytest.mark.parametrize(
    ("trials_per_device", "devices", "share"),
    [(1, 1, 1), (1, 0.25, Fraction(1, 4)), (4, 1, Fraction(1, 4)), (4, 0.5, Fraction(1, 4)), (2, 0.33, Fraction(1, 3))],
)
def test_the_smaller_share_wins(trials_per_device: int, devices: float, share: Fraction) -> None:
    pool = DevicePool(ONE, trials_per_device)

    taken = [pool.take(str(number), devices) for number in range(share.denominator if share < 1 else 1)]

    assert {one.share for one in taken if one is not None} == {share}
    assert None not in taken
    assert pool.take("more", devices) is None


def test_studies_with_different_shares_are_beside_one_another_on_a_device() -> None:
    pool = DevicePool(ONE)

    assert pool.take("half", 0.5) is not None
    assert (pool.room, pool.n_free) == (0.5, 1)
    assert pool.take("quarter", 0.25) is not None
    assert pool.room == 0.25
    assert pool.take("another half", 0.5) is None
    assert pool.take("another quarter", 0.25) is not None
    assert (pool.room, pool.n_free) == (0, 0)


def test_all_trials_have_room_while_the_workers_own_share_is_free() -> None:
    pool = DevicePool(ONE, trials_per_device=2)

    assert pool.take("a", 1) is not None
    assert pool.room == 1


@given(
    st.integers(1, 4),
    st.integers(1, 5),
    st.lists(st.tuples(st.booleans(), st.sampled_from([1, 0.5, 0.33, 0.25, 0.2, 4])), max_size=40),
)
def test_no_device_is_ever_given_out_more_than_once(
    n_devices: int, trials_per_device: int, calls: list[tuple[bool, float]]
) -> None:
    pool = DevicePool(DeviceGroup(tuple(f"cuda:{index}" for index in range(n_devices))), trials_per_device)
    held: dict[str, DeviceGroup] = {}
    for number, (gives_back, devices) in enumerate(calls):
        if gives_back and held:
            name = next(iter(held))
            del held[name]
            pool.give_back(name)
            continue
        fits = devices <= pool.room
        taken = pool.take(str(number), devices)
        assert taken is not None or not fits
        if taken is not None:
            held[str(number)] = taken
        for device in pool.devices.names:
            assert sum(group.share for group in held.values() if device in group.names) <= 1
    assert len(pool) == len(held)
