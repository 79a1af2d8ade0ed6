import json
import math
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from service.schemas.study.search_space import (
    MAX_INT,
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    SearchSpace,
    is_active,
    same,
)

SPACE: TypeAdapter[dict[str, Any]] = TypeAdapter(SearchSpace)
PARAMETER: TypeAdapter[Any] = TypeAdapter(Parameter)

scalars = st.none() | st.booleans() | st.integers(-100, 100) | st.floats(-10, 10) | st.text(max_size=5)
finite = st.floats(allow_nan=False, allow_infinity=False)


def float_parameter(low: float, high: float, **more: Any) -> FloatParameter:
    return FloatParameter(type="float", low=low, high=high, **more)


def int_parameter(low: int, high: int, **more: Any) -> IntParameter:
    return IntParameter(type="int", low=low, high=high, **more)


def choice(*choices: Any, **more: Any) -> CategoricalParameter:
    return CategoricalParameter(type="categorical", choices=list(choices), **more)


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [(1, 1.0, True), (True, 1, False), (0, False, False), (True, True, True), ("1", 1, False), (None, None, True)],
)
def test_true_is_not_one(left: Any, right: Any, equal: bool) -> None:
    assert same(left, right) is same(right, left) is equal


@pytest.mark.parametrize(
    ("parameter", "inside", "outside"),
    [
        (float_parameter(0.0, 1.0), [0, 0.0, -0.0, 0.5, 1, 1.0], [-0.1, 1.1, True, "0.5", None, math.nan, math.inf]),
        (float_parameter(0.1, 0.5, step=0.2), [0.1, 0.3, 0.5, 0.1 + 0.2], [0.2, 0.4, 0.55]),
        (float_parameter(1e-6, 100.0, step=1e-6), [99.0, 1e-6], [99.0000005]),
        (int_parameter(1, 10), [1, 10], [0, 11, 5.0, True, "5", None]),
        (int_parameter(2, 11, step=4), [2, 6, 10], [3, 11, 14]),
        (choice("sgd", 1, None, 2.5), ["sgd", 1, 1.0, None, 2.5], ["adam", True, "1", 2]),
        (choice(True, False), [True, False], [1, 0, None]),
    ],
)
def test_a_parameter_knows_its_values(parameter: Any, inside: list[Any], outside: list[Any]) -> None:
    assert [value for value in inside if not parameter.contains(value)] == []
    assert [value for value in outside if parameter.contains(value)] == []


@pytest.mark.parametrize(
    ("parameter", "size", "grid"),
    [
        (float_parameter(0.0, 0.9, step=0.4), 3, [0.0, 0.4, 0.8]),
        (float_parameter(0.1, 0.4, step=0.1), 4, [0.1, 0.2, 0.3, 0.4]),
        (float_parameter(0.0, 0.25, step=0.5), 1, [0.0]),
        (int_parameter(1, 7, step=3), 3, [1, 4, 7]),
        (int_parameter(1, 8, step=3), 3, [1, 4, 7]),
        (int_parameter(-1, 1), 3, [-1, 0, 1]),
        (int_parameter(1, 4, log=True), 4, [1, 2, 3, 4]),
        (choice("a", None), 2, ["a", None]),
    ],
)
def test_a_discrete_parameter_counts_its_values(parameter: Any, size: int, grid: list[Any]) -> None:
    assert parameter.size() == len(parameter.grid()) == size
    assert list(parameter.grid()) == grid
    assert all(parameter.contains(value) for value in grid)
    assert parameter.edges()[-1] == grid[-1]


def test_a_continuous_range_has_no_size() -> None:
    assert float_parameter(0.0, 1.0).size() is None


def test_the_grid_of_a_huge_range_costs_nothing() -> None:
    huge = int_parameter(-MAX_INT, MAX_INT)

    assert huge.size() == 2 * MAX_INT + 1
    assert list(huge.grid()[:2]) == [-MAX_INT, -MAX_INT + 1]


@settings(max_examples=100, deadline=None)
@given(low=st.floats(-100, 100), width=st.floats(0.01, 100), step=st.floats(0.01, 50))
def test_a_stepped_range_and_optunas_distribution_hold_the_same_values(low: float, width: float, step: float) -> None:
    low, high, step = round(low, 4), round(low + width, 4), round(step, 4)
    parameter = float_parameter(low, high, step=step)

    distribution = optuna.distributions.FloatDistribution(low, parameter.last, step=step)  # a warning would be an error

    assert distribution.high == parameter.last <= high
    for value in (*parameter.grid()[:3], *parameter.grid()[-3:]):
        assert parameter.contains(value)
        assert distribution._contains(value)  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(low=st.integers(-1000, 1000), width=st.integers(1, 1000), step=st.integers(1, 1500))
def test_a_stepped_int_range_and_optunas_hold_the_same_values(low: int, width: int, step: int) -> None:
    parameter = int_parameter(low, low + width, step=step)

    distribution = optuna.distributions.IntDistribution(low, parameter.last, step=step)

    assert distribution.high == parameter.last
    assert list(parameter.grid()) == list(range(low, low + width + 1, step))


@settings(max_examples=60, deadline=None)
@given(low=finite, high=finite, log=st.booleans())
def test_bounds_are_accepted_exactly_when_optuna_accepts_them(low: float, high: float, log: bool) -> None:
    def accepted(make: Any) -> bool:
        try:
            make()
        except ValueError:
            return False
        return True

    ours = accepted(lambda: float_parameter(low, high, log=log))
    optunas = accepted(lambda: optuna.distributions.FloatDistribution(low, high, log=log))
    assert ours == (optunas and low < high)


@settings(max_examples=100, deadline=None)
@given(choices=st.lists(scalars, min_size=1, max_size=6))
def test_choices_go_round_through_json(choices: list[Any]) -> None:
    try:
        parameter = choice(*choices)
    except ValidationError:
        assert any(left == right for index, left in enumerate(choices) for right in choices[:index])
        return
    again = PARAMETER.validate_python(json.loads(parameter.model_dump_json()))
    assert again == parameter
    assert [type(value) for value in again.choices] == [type(value) for value in choices]


CONDITIONAL: dict[str, Any] = {
    "a": choice("x", "y", "z"),
    "b": choice(1, 2, when={"a": ["x"]}),
    "c": int_parameter(1, 3, when={"a": ["x", "y"], "b": [2]}),
    "d": choice(True, False, when={"c": [1]}),
}


@pytest.mark.parametrize(
    ("name", "params", "active"),
    [
        ("a", {}, True),
        ("b", {"a": "x"}, True),
        ("b", {"a": "y"}, False),
        ("b", {}, False),
        ("c", {"a": "x", "b": 2}, True),
        ("c", {"a": "x", "b": 1}, False),
        ("c", {"a": "y"}, False),
    ],
)
def test_a_conditional_parameter_needs_all_its_parents(name: str, params: dict[str, Any], active: bool) -> None:
    assert is_active(CONDITIONAL[name], params) is active


def test_a_search_space_is_read_by_type() -> None:
    space = SPACE.validate_python(
        {"a": {"type": "int", "low": 1, "high": 2}, "b": {"type": "float", "low": 1, "high": 2}}
    )

    assert [type(parameter) for parameter in space.values()] == [IntParameter, FloatParameter]
    assert isinstance(space["b"].low, float)
