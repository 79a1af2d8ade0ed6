import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from service.finals.confidence import (
    ConfirmedCandidate,
    accuracy_interval,
    compare_candidates,
    mean,
    rank_candidates,
    welch_p_value,
)

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8)


@pytest.mark.parametrize(("direction", "order"), [("maximize", [3, 1, 2]), ("minimize", [2, 1, 3])])
def test_the_best_mean_comes_first(direction: str, order: list[int]) -> None:
    candidates = [
        ConfirmedCandidate(1, [0.4, 0.6]),
        ConfirmedCandidate(2, [0.1]),
        ConfirmedCandidate(3, [0.9, 0.9]),
        ConfirmedCandidate(4, []),
    ]
    assert [one.trial_number for one in rank_candidates(candidates, direction)] == order


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_of_equal_means_the_earlier_one_wins(direction: str) -> None:
    candidates = [ConfirmedCandidate(7, [0.5]), ConfirmedCandidate(3, [0.4, 0.6])]
    assert [one.trial_number for one in rank_candidates(candidates, direction)] == [7, 3]


def test_a_standard_error_needs_two_values() -> None:
    assert ConfirmedCandidate(0, [0.1, 0.2, 0.3]).standard_error == pytest.approx(0.1 / 3**0.5)
    assert ConfirmedCandidate(0, [0.1]).standard_error is None
    assert ConfirmedCandidate(0, []).mean is None


@given(VALUES, VALUES)
def test_welchs_test_is_that_of_scipy(left: list[float], right: list[float]) -> None:
    spread = min(max(values) - min(values) for values in (left, right))
    if spread < 1e-3:  # where scipy warns of lost precision
        return
    assert welch_p_value(left, right) == pytest.approx(
        stats.ttest_ind(left, right, equal_var=False).pvalue, rel=1e-6, abs=1e-9
    )


@pytest.mark.parametrize(
    ("left", "right", "p"),
    [([0.5, 0.5], [0.5, 0.5], 1.0), ([0.5, 0.5], [0.6, 0.6], 0.0), ([0.5], [0.6, 0.7], None), ([], [1.0, 1.0], None)],
)
def test_without_variance_or_values_welchs_test_has_its_limits(
    left: list[float], right: list[float], p: float | None
) -> None:
    assert welch_p_value(left, right) == p


def test_values_that_differ_in_the_last_bit_are_no_trouble() -> None:
    assert welch_p_value([0.1 + 0.2, 0.3], [0.3, 0.3]) == pytest.approx(0.5, abs=0.3)
    assert welch_p_value([0.0, 1e-170], [0.0, 0.0]) is not None


@pytest.mark.parametrize(
    ("winner", "runner_up", "distinguishable"),
    [
        ([0.95, 0.96, 0.95], [0.90, 0.91, 0.90], True),
        ([0.95, 0.90, 0.99], [0.94, 0.91, 0.96], False),
        ([0.95], [0.94], None),
    ],
)
def test_means_are_told_apart_at_five_percent(
    winner: list[float], runner_up: list[float], distinguishable: bool | None
) -> None:
    told, words = compare_candidates(ConfirmedCandidate(4, winner), ConfirmedCandidate(9, runner_up))
    assert told is distinguishable
    assert "trials 4 and 9" in words


def test_alone_there_is_nothing_to_compare() -> None:
    assert compare_candidates(ConfirmedCandidate(4, [0.9, 0.8]), None) == (None, "there is no runner-up")


@pytest.mark.parametrize(
    ("accuracy", "n_images", "low", "high"),
    [
        (0.95, 1000, 0.93472, 0.96186),  # Newcombe's calculator, method 3
        (1.0, 359, 0.98941, 1.0),
        (0.0, 10, 0.0, 0.27753),
    ],
)
def test_the_interval_of_an_accuracy_is_wilsons(accuracy: float, n_images: int, low: float, high: float) -> None:
    assert accuracy_interval(accuracy, n_images) == pytest.approx((low, high), abs=1e-4)


def test_an_accuracy_computed_in_single_precision_is_a_whole_number_of_images() -> None:
    assert accuracy_interval(0.97214484, 359) == accuracy_interval(349 / 359, 359)


def test_values_near_the_largest_float_have_a_mean_and_cannot_be_told_apart() -> None:
    huge, other = ConfirmedCandidate(0, [1.7e308, 1.7e308]), ConfirmedCandidate(1, [1.7e308, -1.7e308])
    assert huge.mean == pytest.approx(1.7e308)
    assert other.standard_error is None
    assert compare_candidates(huge, other) == (None, "trials 0 and 1 cannot be compared: their values are too large")


def test_what_violates_a_constraint_comes_last() -> None:
    best, good = ConfirmedCandidate(0, [0.9], ["latency <= 1"]), ConfirmedCandidate(1, [0.5])
    assert rank_candidates([best, good], "maximize") == [good, best]


def test_infinities_that_cancel_have_no_mean() -> None:
    assert math.isnan(mean([math.inf, -math.inf]))
