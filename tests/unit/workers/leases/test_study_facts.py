from typing import Any

import pytest

from service.schemas.results import Study
from workers.leases.study_facts import facts_of


def study(**definition: Any) -> Study:
    space = {"learning_rate": {"type": "float", "low": 1e-4, "high": 0.1}}
    training = {"dataset": "digits", "model": "mlp"}
    return Study.model_validate(
        {
            "name": "s",
            "state": "running",
            "definition": {"name": "s", "search_space": space, "training": training, "n_trials": 64, **definition},
            "trial_counts": {"WAITING": 0, "RUNNING": 0, "COMPLETE": 0, "PRUNED": 0, "FAIL": 0},
            "best": None,
            "created_at": "2026-01-01T00:00:00Z",
            "started_at": None,
            "finished_at": None,
            "finished_reason": None,
            "trials_per_hour": None,
        }
    )


@pytest.mark.parametrize(
    ("sampler", "pruner", "n_processes", "max_lanes"),
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
    sampler: str, pruner: str, n_processes: int, max_lanes: int
) -> None:
    space = {"optimizer": {"type": "categorical", "choices": ["sgd", "adam"]}} if sampler == "grid" else None
    changes = {} if space is None else {"search_space": space}
    found = facts_of(study(sampler=sampler, pruner=pruner, **changes), n_processes)
    assert found.max_lanes == max_lanes
