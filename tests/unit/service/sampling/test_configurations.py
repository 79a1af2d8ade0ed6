import cProfile
import pstats
from typing import Any

import pytest

from service.sampling.configurations import Configurations, first_configurations
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


def test_given_values_are_kept_where_their_parameter_exists() -> None:
    configurations = Configurations(space(optimizer=OPTIMIZER, momentum=MOMENTUM))
    given = {"momentum": 0.1 + 0.1 + 1e-12}

    first, second = configurations.untried([], given), configurations.untried([{"optimizer": "adam"}], given)
    configurations.add({"optimizer": "sgd", "momentum": 0.2})

    assert first in ({"optimizer": "adam"}, {"optimizer": "sgd", "momentum": 0.2})
    assert second == {"optimizer": "sgd", "momentum": 0.2}
    assert configurations.untried([{"optimizer": "adam"}], given) is None
    assert configurations.untried([{"optimizer": "adam"}], {"momentum": 7.0}) is not None, "it is outside of the range"


def test_the_choice_is_random_and_the_same_for_the_same_study() -> None:
    number = {"type": "int", "low": 1, "high": 20}
    first, again = (all_untried(Configurations(space(batch_size=number, epochs=number))) for _ in range(2))

    assert first == again
    assert len({params["batch_size"] for params in first[:20]}) > 5
    assert len({params["epochs"] for params in first[:20]}) > 5


def n_calls(n_enqueued: int) -> int:
    """Calls of functions that it takes to complete so many enqueued trials of a grid of 10,000 points."""
    number = {"type": "int", "low": 0, "high": 99}
    spaces = {"batch_size": number, "epochs": number}
    wanted = definition(
        search_space=spaces,
        training={"entrypoint": "mine.train:f"},
        sampler="grid",
        n_trials=n_enqueued,
        enqueue=[{"epochs": index % 100} if index % 2 else {} for index in range(n_enqueued)],
    )
    checked = Definition.model_validate(wanted)
    profile = cProfile.Profile()
    found = profile.runcall(first_configurations, checked)
    assert len({tuple(params.items()) for params in found}) == n_enqueued
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]


def test_the_enqueued_trials_of_a_grid_are_completed_in_linear_time() -> None:
    few, some, many = n_calls(10), n_calls(400), n_calls(800)

    assert many - few < 2.2 * (some - few)
    assert many < 2 * few, "most of it is the table of all points, which is made once"
