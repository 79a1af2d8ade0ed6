from typing import Any

import pytest

from service.schemas.study.definition import Definition
from workers.scheduling.lane_cap import lane_cap


def definition(**fields: Any) -> Definition:
    space = {"learning_rate": {"type": "float", "low": 1e-4, "high": 0.1}}
    training = {"dataset": "digits", "model": "mlp"}
    return Definition.model_validate(
        {"name": "s", "search_space": space, "training": training, "n_trials": 64, **fields}
    )


@pytest.mark.parametrize(
    ("sampler", "pruner", "n_processes", "cap"),
    [
        ("tpe", "median", 1, 8),
        ("tpe", "none", 2, 4),
        ("random", "median", 1, 16),
        ("random", "hyperband", 4, 4),
        ("random", "none", 1, 64),
        ("grid", "none", 4, 16),
        ("gp", "median", 100, 1),
    ],
)
def test_a_machine_trains_at_most_as_many_trials_as_sampler_and_pruner_can_learn_from(
    sampler: str, pruner: str, n_processes: int, cap: int
) -> None:
    space = {"optimizer": {"type": "categorical", "choices": ["sgd", "adam"]}} if sampler == "grid" else None
    changes = {} if space is None else {"search_space": space}
    assert lane_cap(definition(sampler=sampler, pruner=pruner, **changes), n_processes) == cap
