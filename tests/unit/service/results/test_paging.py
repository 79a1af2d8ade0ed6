import base64
import math
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from service.errors import InvalidError
from service.results.paging import ORDERS, take_page, trial_key

ALL_ORDERS = [sign + name for name in ORDERS for sign in ("", "-")]


def trial(number: int, value: float | None, seconds: float | None) -> FrozenTrial:
    made = create_trial(
        state=TrialState.COMPLETE if value is not None else TrialState.FAIL,
        value=value,
        params={"x": 0.5},
        distributions={"x": FloatDistribution(0, 1)},
    )
    made.number = number
    made.datetime_start = None if seconds is None else datetime(2026, 1, 2)
    made.datetime_complete = None if seconds is None else datetime(2026, 1, 2) + timedelta(seconds=seconds)
    return made


trials = st.lists(
    st.tuples(
        st.none() | st.floats(allow_nan=False) | st.sampled_from([0.5, math.inf, -math.inf]),
        st.none() | st.floats(0, 9),
    ),
    max_size=25,
).map(lambda rows: [trial(number, value, seconds) for number, (value, seconds) in enumerate(rows)])


def pages(items: list[Any], order_by: str, limit: int, more: list[Any] | None = None) -> list[int]:
    """The numbers of all items, read page by page; between two pages one of `more` comes in."""
    numbers: list[int] = []
    cursor: str | None = None
    while True:
        taken, cursor = take_page(items, trial_key(order_by), limit, cursor)
        assert len(taken) <= limit
        numbers += [item.number for item in taken]
        if cursor is None:
            return numbers
        items = [*items, *([more.pop(0)] if more else [])]


@settings(max_examples=150, deadline=None)
@given(items=trials, order_by=st.sampled_from(ALL_ORDERS), limit=st.integers(1, 9))
def test_all_pages_together_are_the_sorted_whole(items: list[FrozenTrial], order_by: str, limit: int) -> None:
    assert pages(items, order_by, limit) == [item.number for item in sorted(items, key=trial_key(order_by))]


def test_a_page_of_sorted_items_looks_at_few_of_them() -> None:
    looked_at: list[int] = []

    def key(item: int) -> tuple[float, int]:
        looked_at.append(item)
        return item, item

    taken: list[int] = []
    cursor: str | None = None
    for _ in range(10):
        page, cursor = take_page(range(10_000), key, 1000, cursor, is_sorted=True)
        taken += page
    assert (taken, cursor) == (list(range(10_000)), None)
    assert len(looked_at) < 10 * 20


@settings(max_examples=100, deadline=None)
@given(items=trials, limit=st.integers(1, 9), n_more=st.integers(0, 9))
def test_items_that_come_in_while_pages_are_read_appear_once(items: list[FrozenTrial], limit: int, n_more: int) -> None:
    more = [trial(len(items) + index, None, None) for index in range(n_more)]

    numbers = pages(items, "number", limit, more)

    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= len(items)


@pytest.mark.parametrize("order_by", ALL_ORDERS)
def test_what_has_no_value_comes_last(order_by: str) -> None:
    items = [trial(0, None, None), trial(1, 0.5, 1.0), trial(2, None, None), trial(3, 0.9, 2.0)]

    numbers = pages(items, order_by, 2)

    if order_by not in ("number", "-number"):
        assert set(numbers[2:]) == {0, 2}
    assert sorted(numbers) == [0, 1, 2, 3]


def test_the_largest_value_comes_first_when_asked_for() -> None:
    items = [trial(0, 0.1, 1.0), trial(1, math.inf, 1.0), trial(2, -math.inf, 1.0), trial(3, 0.9, 1.0)]

    assert pages(items, "-value", 9) == [1, 3, 0, 2]
    assert pages(items, "value", 9) == [2, 0, 3, 1]


def test_a_last_page_that_is_full_has_no_cursor() -> None:
    items = [trial(number, None, None) for number in range(4)]

    assert take_page(items, trial_key("number"), 4, None)[1] is None
    assert take_page([], trial_key("number"), 4, None) == ([], None)


def encoded(value: str) -> str:
    return base64.urlsafe_b64encode(value.encode()).decode().rstrip("=")


BAD_CURSORS = ["", "[", "1", "null", "[]", "[1]", "[1,2,3]", '["a",1]', "[1,1e999]", "[[1],2]", f"[{'9' * 400},1]"]


@pytest.mark.parametrize("cursor", ["", "x", "é", "\0", "AAAA", *map(encoded, BAD_CURSORS)])
def test_a_cursor_that_is_none_of_ours_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidError) as raised:
        take_page([trial(0, None, None)], trial_key("number"), 1, cursor)

    assert raised.value.errors is not None
    assert raised.value.errors[0][0] == "cursor"


@pytest.mark.parametrize("cursor", ["[1,NaN]", "[NaN,1]", "[1e308,1]", "[1,-1]"])
def test_a_cursor_to_nowhere_is_harmless(cursor: str) -> None:
    try:
        taken, following = take_page([trial(0, None, None)], trial_key("number"), 1, encoded(cursor))
    except InvalidError:
        return
    assert (taken, following) == ([], None)
