import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.pruning.rungs import Rungs


def rungs(factor: int = 3, *, maximize: bool = True) -> Rungs:
    return Rungs(1, factor, maximize=maximize)


def test_rungs_are_reached_after_powers_of_the_factor() -> None:
    assert list(Rungs(2, 3, maximize=True, end_epochs=54).epochs()) == [2, 6, 18]
    assert list(itertools.islice(rungs(2).epochs(), 4)) == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("first", "factor", "rung_factor", "epochs"),
    [
        (1, 1.5, 1.6, [1, 2, 3, 5, 8, 13, 21, 34]),
        (1, 1.5, None, [1, 2, 3, 4, 6, 9, 14, 21]),
        (3, 2, 1.1, [3, 4, 5, 6, 7, 8, 9, 10]),
        (2, 1.5, 4, [2, 8, 32, 128, 512, 2048, 8192, 32768]),
    ],
)
def test_rungs_grow_by_their_own_factor_and_by_a_whole_epoch_at_least(
    first: int, factor: float, rung_factor: float | None, epochs: list[int]
) -> None:
    ladder = Rungs(first, factor, maximize=True, rung_factor=rung_factor)
    assert list(itertools.islice(ladder.epochs(), 8)) == epochs


def test_two_of_three_go_on() -> None:
    ladder = Rungs(1, 1.5, maximize=True)
    n_top = []
    for number in range(7):
        ladder.add(0, number, number)
        n_top.append(len(ladder.top(0)))
    assert n_top == [0, 1, 2, 2, 3, 4, 4]


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


@given(
    st.sampled_from([1.1, 1.5, 2, 3]),
    st.lists(st.tuples(st.integers(0, 9), st.floats(allow_nan=False)), max_size=40),
    st.booleans(),
)
def test_a_value_changes_what_the_top_is_of_few(factor: float, values: list[tuple[int, float]], maximize: bool) -> None:
    ladder = Rungs(1, factor, maximize=maximize)
    before: set[int] = set()
    for number, value in values:
        changed = ladder.add(0, number, value)
        now = set(ladder.top(0))
        assert before ^ now <= set(changed)
        assert len(changed) <= 3
        before = now


@given(
    st.integers(2, 5) | st.sampled_from([1.1, 1.2, 1.5, 2.5, 3.3]),
    st.lists(st.floats(allow_nan=False), max_size=40),
    st.booleans(),
)
@example(1.1, [0.0] * 33, True)
def test_the_top_is_what_sorting_says(factor: float, values: list[float], maximize: bool) -> None:
    ladder = Rungs(1, factor, maximize=maximize)
    for number, value in enumerate(values):
        ladder.add(0, number, value)
    ranked = sorted(range(len(values)), key=lambda number: -values[number] if maximize else values[number])
    top = ranked[: int(len(values) / Fraction(str(factor)))]
    assert ladder.top(0) == top
    assert [number for number in range(len(values)) if ladder.is_top(0, number)] == sorted(top)
