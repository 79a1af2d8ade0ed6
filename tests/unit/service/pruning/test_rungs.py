import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pruning.rungs import Rungs


def rungs(factor: int = 3, *, maximize: bool = True) -> Rungs:
    return Rungs(1, factor, maximize=maximize)


def test_rungs_are_reached_after_powers_of_the_factor() -> None:
    assert list(Rungs(2, 3, maximize=True, end_epochs=54).epochs()) == [2, 6, 18]
    assert list(itertools.islice(rungs(2).epochs(), 4)) == [1, 2, 4, 8]


@pytest.mark.parametrize(("maximize", "best"), [(True, [4, 2]), (False, [0, 5])])
def test_the_best_third_goes_on(maximize: bool, best: list[int]) -> None:
    ladder = rungs(maximize=maximize)
    for number, value in enumerate([0.1, 0.5, 0.6, 0.4, 0.9, 0.2]):
        ladder.add(0, number, value)

    assert ladder.top(0) == best
    assert [number for number in range(6) if ladder.is_top(0, number)] == sorted(best)
    assert ladder.top(1) == []


def test_nobody_goes_on_before_there_are_as_many_as_the_factor() -> None:
    ladder = rungs()
    tops = []
    for number in range(4):
        ladder.add(0, number, number)
        tops.append(ladder.top(0))
    assert tops == [[], [], [2], [3]]


def test_the_earlier_of_two_equal_ones_goes_first_and_nan_last() -> None:
    ladder = rungs(2, maximize=False)
    for number, value in enumerate([math.nan, 1.0, 1.0, math.inf]):
        ladder.add(0, number, value)
    assert ladder.top(0) == [1, 2]


def test_another_value_of_a_trial_takes_the_place_of_the_first() -> None:
    ladder = rungs(2)
    for number, value in ((0, 0.9), (1, 0.5), (0, 0.1)):
        ladder.add(0, number, value)
    assert ladder.top(0) == [1]


@given(st.integers(2, 5), st.lists(st.floats(allow_nan=False), max_size=40), st.booleans())
def test_the_top_is_what_sorting_says(factor: int, values: list[float], maximize: bool) -> None:
    ladder = rungs(factor, maximize=maximize)
    for number, value in enumerate(values):
        ladder.add(0, number, value)
    ranked = sorted(range(len(values)), key=lambda number: -values[number] if maximize else values[number])
    assert ladder.top(0) == ranked[: len(values) // factor]
