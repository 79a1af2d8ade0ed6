import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from service.schemas.study.counting import n_configurations
from service.schemas.study.search_space import MAX_INT, SearchSpace, is_active
from tests.work import n_calls

SPACE: TypeAdapter[dict[str, Any]] = TypeAdapter(SearchSpace)

CONDITIONAL = SPACE.validate_python(
    {
        "a": {"type": "categorical", "choices": ["x", "y", "z"]},
        "b": {"type": "categorical", "choices": [1, 2], "when": {"a": ["x"]}},
        "c": {"type": "int", "low": 1, "high": 3, "when": {"a": ["x", "y"], "b": [2]}},
        "d": {"type": "categorical", "choices": [True, False], "when": {"c": [1]}},
    }
)


def test_configurations_of_a_conditional_space_are_counted() -> None:
    # y, z; x1; x2 with c in 2, 3; x2 with c=1 and d in true, false
    assert n_configurations(CONDITIONAL, 1000) == 2 + 1 + 2 + 2


@pytest.mark.parametrize("limit", [1, 2, 6, 7, 8])
def test_configurations_are_counted_up_to_a_limit(limit: int) -> None:
    assert n_configurations(CONDITIONAL, limit) == min(limit, 7)


def test_there_is_no_end_of_configurations_of_a_continuous_space() -> None:
    continuous = SPACE.validate_python({"e": {"type": "float", "low": 0.0, "high": 1.0}})
    assert n_configurations({**CONDITIONAL, **continuous}, 10) is None


@st.composite
def small_spaces(draw: st.DrawFn) -> dict[str, Any]:
    """Up to four parameters of two or three values, each of which may depend on earlier ones."""
    space: dict[str, Any] = {}
    for index in range(draw(st.integers(1, 4))):
        values = draw(st.sampled_from([[1, 2], [True, False, None], ["a", "b", "c"]]))
        parents = draw(st.lists(st.sampled_from(sorted(space)), unique=True)) if space else []
        when = {
            parent: draw(st.lists(st.sampled_from(space[parent]["choices"]), min_size=1, max_size=2, unique=True))
            for parent in parents
        }
        space[f"p{index}"] = {"type": "categorical", "choices": values, **({"when": when} if when else {})}
    return space


@given(small_spaces())
def test_the_count_is_that_of_all_configurations_written_out(space: dict[str, Any]) -> None:
    parameters = SPACE.validate_python(space)
    found = set()
    for values in itertools.product(*(parameter.grid() for parameter in parameters.values())):
        params: dict[str, Any] = {}
        for (name, parameter), value in zip(parameters.items(), values, strict=True):
            if is_active(parameter, params):
                params[name] = value
        found.add(repr(params))

    assert n_configurations(parameters, 1000) == len(found)


def one_choice(*names: str) -> dict[str, Any]:
    return {name: {"type": "categorical", "choices": ["a"]} for name in names}


MANY = [f"p{index}" for index in range(97)]
PARENTS = {f"p{index}": {"type": "categorical", "choices": ["a", "b"]} for index in range(13)}


@pytest.mark.parametrize(
    ("space", "n"),
    [
        (
            {f"p{index}": {"type": "int", "low": 1, "high": MAX_INT} for index in range(50)}
            | {
                f"q{index}": {"type": "int", "low": 1, "high": MAX_INT, "when": {f"p{index}": [1]}}
                for index in range(50)
            },
            10_001,
        ),
        (
            {"q": {"type": "int", "low": 0, "high": 9998}}
            | one_choice(*MANY)
            | {"r": {"type": "categorical", "choices": ["b"], "when": {**{name: ["a"] for name in MANY}, "q": [1]}}},
            9_999,
        ),
        (
            PARENTS
            | {
                f"q{index}": {"type": "categorical", "choices": [1], "when": {name: ["a"] for name in PARENTS}}
                for index in range(87)
            },
            8_192,
        ),
    ],
)
def test_counting_takes_little_work(space: dict[str, Any], n: int) -> None:
    parameters = SPACE.validate_python(space)
    counted = []

    assert n_calls(lambda: counted.append(n_configurations(parameters, 10_001))) < 1_000_000

    assert counted == [n]
