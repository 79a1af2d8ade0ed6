"""How many devices a trial has, or which share of one."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.schemas.study.devices import MAX_TRIALS_PER_DEVICE, share_of
from service.schemas.study.user_training import UserTraining


def devices_of(value: float) -> float:
    return UserTraining(entrypoint="a.b:c", devices=value).devices


@pytest.mark.parametrize(("value", "kept"), [(1, 1), (2, 2), (4.0, 4), (0.5, 0.5), (0.33, 0.33), (0.015625, 0.015625)])
def test_devices_are_kept_as_whole_numbers_or_shares(value: float, kept: float) -> None:
    assert devices_of(value) == kept
    assert isinstance(devices_of(value), type(kept))


@given(st.integers(2, MAX_TRIALS_PER_DEVICE), st.integers(2, 17))
def test_a_share_may_be_written_with_two_digits_or_more(k: int, n_digits: int) -> None:
    shares = {share_of(devices_of(value)) for value in (1 / k, round(1 / k, max(n_digits, 4)))}

    assert shares == {Fraction(1, k)}


@pytest.mark.parametrize(("value", "share"), [(1, 1), (3, 1), (0.5, Fraction(1, 2)), (0.14, Fraction(1, 7))])
def test_a_trial_has_whole_devices_or_its_share(value: float, share: Fraction) -> None:
    assert share_of(value) == share
