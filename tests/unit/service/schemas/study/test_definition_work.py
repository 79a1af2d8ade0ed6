"""Definitions that would take seconds to check if every value were tried beside every other."""

from typing import Any

import pytest
from pydantic import ValidationError

from service.schemas.locations import first_error
from service.schemas.study.definition import Definition
from tests.work import n_calls

MOST_CALLS = 1_000_000
"""About as many as a tenth of a second takes."""
NUMBERS = {"type": "categorical", "choices": list(range(1, 257))}
TEXTS = {"type": "categorical", "choices": [f"c{index}" for index in range(256)]}
BUILT_IN = {"training": {"dataset": "digits", "model": "mlp", "epochs": 3}, "n_trials": 10}
CODE = {
    "training": {"entrypoint": "mypkg:train"},
    "objectives": [{"metric": "accuracy", "direction": "maximize"}],
    "n_trials": 1000,
}
MODEL = {"entrypoint": "mypkg:build"}


@pytest.mark.parametrize(
    "body",
    [
        {**BUILT_IN, "search_space": {f"model.hidden.{index}": NUMBERS for index in range(64)}},
        {
            **BUILT_IN,
            "training": {"dataset": "digits", "model": MODEL},
            "search_space": {f"model.arguments.a{index}": TEXTS for index in range(100)},
        },
        {
            **CODE,
            "search_space": {f"p{index}": TEXTS for index in range(100)},
            "enqueue": [{f"p{index}": "c255" for index in range(100)}] * 100,
        },
    ],
)
def test_a_large_definition_takes_little_work(body: dict[str, Any]) -> None:
    assert n_calls(lambda: Definition.model_validate({"name": "large", **body})) < MOST_CALLS


def test_a_large_definition_that_is_wrong_takes_little_work() -> None:
    space = {f"model.hidden.{index}": TEXTS for index in range(64)}

    def check() -> None:
        with pytest.raises(ValidationError, match="does not hold together"):
            Definition.model_validate({"name": "large", **BUILT_IN, "search_space": space})

    assert n_calls(check) < MOST_CALLS


@pytest.mark.parametrize("wrong", [[0.1, -1.0, 0.2], [0.1, 0.2, 2000.0], [1, 0.1, 0], [0.5, "adam", 0.1]])
def test_a_choice_that_training_refuses_is_found_among_others(wrong: list[Any]) -> None:
    space = {"learning_rate": {"type": "categorical", "choices": wrong}}
    with pytest.raises(ValidationError) as refused:
        Definition.model_validate({"name": "wrong", **BUILT_IN, "search_space": space})
    assert first_error(refused.value).startswith("search_space.learning_rate: learning_rate must be")
