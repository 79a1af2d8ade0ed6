"""The pruner of a definition that names none."""

from typing import Any

import pytest

from service.schemas.study.default_pruner import KILLING
from service.schemas.study.definition import Definition

SPACE = {"learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True}}
NARROWING = {"rounds": 2, "trials_per_round": 5, "keep_top": 2, "margin": 0.1}
TWO = [{"metric": "validation_accuracy", "direction": "maximize"}, {"metric": "n_parameters", "direction": "minimize"}]


def default(epochs: int = 20, **changes: Any) -> dict[str, Any]:
    """The pruner's options that are not null."""
    training = {"dataset": "digits", "model": "mlp", "epochs": epochs}
    written = {"name": "study", "search_space": SPACE, "training": training, "n_trials": 30, **changes}
    definition = Definition.model_validate(written)
    assert definition.has_default_pruner
    assert Definition.model_validate(definition.model_dump(exclude_unset=True)).pruner == definition.pruner
    return definition.pruner.model_dump(exclude_unset=True)


@pytest.mark.parametrize("epochs", [3, 4])
def test_short_trainings_promote_every_second_trial(epochs: int) -> None:
    wanted = {"min_resource": 1, "reduction_factor": 2, "rung_factor": 2, "promote": True}
    assert default(epochs) == {"name": "successive_halving", **wanted}


@pytest.mark.parametrize(("epochs", "first"), [(5, 1), (20, 1), (100, 1), (300, 3), (1000, 10)])
def test_longer_trainings_promote_two_of_three(epochs: int, first: int) -> None:
    wanted = {"min_resource": first, "reduction_factor": 1.5, "rung_factor": 1.6, "promote": True}
    assert default(epochs) == {"name": "successive_halving", **wanted}


@pytest.mark.parametrize(
    "changes",
    [
        {"training": {"dataset": "digits", "model": "mlp", "epochs": 2}},
        {"training": {"entrypoint": "a.b:c"}},
        {"training": {"command": ["python", "train.py", "{args}"]}},
        {"narrowing": NARROWING, "n_trials": 10},
    ],
    ids=["two epochs", "entrypoint", "command", "narrowing"],
)
def test_trials_that_cannot_pause_are_ended_at_rungs(changes: dict[str, Any]) -> None:
    changes = {"objectives": [TWO[0]], **changes}
    assert default(**changes) == KILLING


def test_several_objectives_and_final_metrics_are_not_pruned() -> None:
    assert default(objectives=TWO) == {"name": "none"}
    assert default(objectives=[TWO[1]]) == {"name": "none"}


def test_a_named_pruner_is_kept() -> None:
    written = {"name": "study", "search_space": SPACE, "training": {"dataset": "digits", "model": "mlp"}, "n_trials": 3}
    definition = Definition.model_validate({**written, "pruner": "successive_halving"})
    assert not definition.has_default_pruner
    assert not definition.promotes
