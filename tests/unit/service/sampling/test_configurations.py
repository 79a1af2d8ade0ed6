from typing import Any

import pytest

from service.sampling.configurations import Configurations
from service.schemas.fields import Scalar
from service.schemas.study.definition import Definition
from service.schemas.study.search_space import Parameter
from tests.integration.service_driver import definition

OPTIMIZER = {"type": "categorical", "choices": ["sgd", "adam"]}
MOMENTUM = {"type": "float", "low": 0.0, "high": 0.3, "step": 0.1, "when": {"optimizer": ["sgd"]}}


def space(**parameters: dict[str, Any]) -> dict[str, Parameter]:
    return Definition.model_validate(definition(search_space=parameters)).search_space


def all_untried(configurations: Configurations) -> list[dict[str, Scalar]]:
    found = []
    while (params := configurations.untried([])) is not None:
        configurations.add(params)
        found.append(params)
    return found


def test_every_configuration_comes_once_conditional_ones_included() -> None:
    found = all_untried(Configurations(space(optimizer=OPTIMIZER, momentum=MOMENTUM)))

    assert sorted(map(repr, found)) == sorted(
        [
            "{'optimizer': 'adam'}",
            *(f"{{'optimizer': 'sgd', 'momentum': {momentum}}}" for momentum in (0.0, 0.1, 0.2, 0.3)),
        ]
    )


def test_floats_that_differ_in_the_last_bit_are_one_configuration() -> None:
    configurations = Configurations(space(dropout={"type": "float", "low": 0.0, "high": 0.5, "step": 0.1}))

    configurations.add({"dropout": 0.1 + 0.2})

    assert {"dropout": 0.3} in configurations


def test_true_is_not_one() -> None:
    configurations = Configurations(space(nesterov={"type": "categorical", "choices": [True, False]}))

    configurations.add({"nesterov": 1})

    assert {"nesterov": True} not in configurations


def test_others_are_not_chosen() -> None:
    configurations = Configurations(space(optimizer=OPTIMIZER))

    assert configurations.untried([{"optimizer": "sgd"}]) == {"optimizer": "adam"}
    assert configurations.untried([{"optimizer": "sgd"}, {"optimizer": "adam"}]) is None


@pytest.mark.parametrize(
    "parameter",
    [
        {"type": "float", "low": 0.0, "high": 0.5},
        {"type": "int", "low": 1, "high": 60_000},
    ],
    ids=["continuous", "too many"],
)
def test_a_space_without_end_has_no_list(parameter: dict[str, Any]) -> None:
    name = "dropout" if parameter["type"] == "float" else "batch_size"

    assert Configurations(space(**{name: parameter})).untried([]) is None


def test_a_continuous_configuration_is_never_the_same() -> None:
    configurations = Configurations(space(dropout={"type": "float", "low": 0.0, "high": 0.5}))

    configurations.add({"dropout": 0.25})

    assert {"dropout": 0.25} not in configurations


def test_what_is_not_of_this_space_is_nothing_to_remember() -> None:
    configurations = Configurations(space(optimizer=OPTIMIZER))

    configurations.add({"optimizer": "lion"})
    configurations.add({})

    assert len(all_untried(configurations)) == 2


def test_a_space_of_as_many_configurations_as_a_grid_may_have_has_untried_ones() -> None:
    number = {"type": "int", "low": 1, "high": 100}
    configurations = Configurations(space(batch_size=number, epochs=number))

    assert configurations.untried([], {"epochs": 7}) is not None
