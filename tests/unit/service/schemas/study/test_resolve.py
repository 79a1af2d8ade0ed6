from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from service.schemas.study.data import Dataset
from service.schemas.study.definition import Definition
from service.schemas.study.resolve import MISSING, find, fixed_fields, is_index, resolve
from service.schemas.study.search_space import is_active
from service.schemas.study.training import Training
from tests.integration.service_driver import definition


@pytest.mark.parametrize(
    ("fixed", "params", "resolved"),
    [
        ({}, {"learning_rate": 0.1}, {"learning_rate": 0.1}),
        ({"a": {"b": 1}}, {"a.c": 2}, {"a": {"b": 1, "c": 2}}),
        ({}, {"a.b.c": 1, "a.b.d": 2, "a.e": 3}, {"a": {"b": {"c": 1, "d": 2}, "e": 3}}),
        ({}, {"hidden.0": 8, "hidden.1": 4}, {"hidden": [8, 4]}),
        ({}, {"hidden.1": 8, "hidden.0": 4}, {"hidden": [4, 8]}),
        ({}, {"hidden.0": 8, "hidden.2": 4}, {"hidden": [8, 4]}),
        ({}, {f"h.{index}": index for index in (10, 2, 1)}, {"h": [1, 2, 10]}),
        ({"h": [{"a": 1}, {"a": 2}]}, {"h.1.b": 5}, {"h": [{"a": 1}, {"a": 2, "b": 5}]}),
        ({"h": [1, 2]}, {"h.2": 3}, {"h": [1, 2, 3]}),
        ({}, {"schedule": "step", "schedule.gamma": 0.3}, {"schedule": {"name": "step", "gamma": 0.3}}),
        ({}, {"schedule": "constant"}, {"schedule": "constant"}),
        ({}, {"early_stopping": None}, {"early_stopping": None}),
        ({"a": []}, {}, {"a": []}),
        ({"a": {}}, {}, {"a": {}}),
        ({}, {"h.01": 1}, {"h": {"01": 1}}),
        ({}, {"h.²": 1}, {"h": {"²": 1}}),
    ],
)
def test_parameters_are_put_in_their_places(fixed: Any, params: Any, resolved: Any) -> None:
    assert resolve(fixed, params) == resolved


def test_the_fixed_fields_stay_as_they_are() -> None:
    fixed = {"model": {"hidden": [8, 8], "blocks": [{"a": 1}]}}

    resolve(fixed, {"model.hidden.2": 4, "model.blocks.0.b": 2, "model.activation": "relu"})

    assert fixed == {"model": {"hidden": [8, 8], "blocks": [{"a": 1}]}}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (["a"], {"b": [1, {"c": None}]}),
        (["a", "b", "0"], 1),
        (["a", "b", "1", "c"], None),
        (["a", "b", "2"], MISSING),
        (["a", "b", "01"], MISSING),
        (["a", "b", "-1"], MISSING),
        (["x"], MISSING),
        (["a", "b", "0", "c"], MISSING),
        ([""], MISSING),
    ],
)
def test_a_field_is_found_by_its_path(path: list[str], found: Any) -> None:
    assert find({"a": {"b": [1, {"c": None}]}}, path) == found


@pytest.mark.parametrize(("part", "index"), [("0", True), ("10", True), ("01", False), ("", False), ("²", False)])
@pytest.mark.parametrize("prefix", ["", "-", "+", "١", " "])
def test_an_index_is_a_plain_number(prefix: str, part: str, index: bool) -> None:
    assert is_index(prefix + part) is (index and not prefix)


def test_defaults_are_no_fixed_fields() -> None:
    training = Training.model_validate({"dataset": "digits", "model": "mlp", "epochs": 10})

    assert fixed_fields(training) == {"dataset": {"name": "digits"}, "model": {"name": "mlp"}, "epochs": 10}


# Whatever a definition is accepted with, every configuration that can be drawn from it must train.

PARAMETERS: dict[str, list[dict[str, Any]]] = {
    "optimizer": [{"type": "categorical", "choices": ["sgd", "adam"]}],
    "nesterov": [{"type": "categorical", "choices": [True, False]}],
    "schedule": [
        {"type": "categorical", "choices": ["cosine", "constant"]},
        {"type": "categorical", "choices": ["step"]},
    ],
    "schedule.gamma": [{"type": "float", "low": 0.1, "high": 0.9}],
    "schedule.final_fraction": [{"type": "float", "low": 0.0, "high": 0.9}],
    "model.hidden.0": [{"type": "int", "low": 1, "high": 9}],
    "model.hidden.1": [{"type": "int", "low": 1, "high": 9}],
    "dropout": [{"type": "float", "low": 0.0, "high": 0.9}],
    "dropout.0": [{"type": "float", "low": 0.0, "high": 0.9}],
    "dropout.1": [{"type": "categorical", "choices": [0.0, 0.5]}],
    "early_stopping": [{"type": "categorical", "choices": [None]}],
    "early_stopping.patience": [{"type": "int", "low": 1, "high": 3}],
}
PARENTS = {"optimizer": ["sgd"], "nesterov": [True], "schedule": ["step"]}


@st.composite
def search_spaces(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(list(PARAMETERS)), min_size=1, max_size=7, unique=True))
    space: dict[str, Any] = {}
    for name in names:
        parents = [parent for parent in space if parent in PARENTS]
        when = {parent: PARENTS[parent] for parent in draw(st.sets(st.sampled_from(parents or [""]))) if parent}
        space[name] = {**draw(st.sampled_from(PARAMETERS[name])), **({"when": when} if when else {})}
    return space


@settings(max_examples=300, deadline=None)
@given(space=search_spaces(), data=st.data())
def test_every_configuration_of_an_accepted_definition_trains(space: dict[str, Any], data: st.DataObject) -> None:
    fixed = data.draw(st.sampled_from([{}, {"dropout": [0.1]}, {"dropout": [0.1, 0.1]}]))
    training = {"dataset": "digits", "model": "mlp", **fixed}
    try:
        accepted = Definition.model_validate(definition(search_space=space, training=training))
    except ValidationError:
        return
    params: dict[str, Any] = {}
    for name, parameter in accepted.search_space.items():
        if is_active(parameter, params):
            params[name] = data.draw(st.sampled_from(parameter.edges()), label=name)

    resolved = Training.model_validate(resolve(fixed_fields(accepted.training), params))

    assert isinstance(resolved.dataset, Dataset)
    assert resolved.dataset.name == "digits"
