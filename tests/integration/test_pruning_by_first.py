"""A pruner in a study with several objectives goes by the first one, as it would if that were the only one."""

import random

import pytest

from tests.integration.service_driver import Json, Service

OBJECTIVES = [
    {"metric": "validation_accuracy", "direction": "maximize"},
    {"metric": "validation_loss", "direction": "minimize"},
]
PRUNERS: dict[str, Json] = {
    "median": {"name": "median", "n_startup_trials": 2},
    "percentile": {"name": "percentile", "n_startup_trials": 2, "percentile": 50.0},
    "successive_halving": {"name": "successive_halving", "min_resource": 1, "reduction_factor": 2},
    "hyperband": {"name": "hyperband", "min_resource": 1, "max_resource": 4, "reduction_factor": 2},
    "patient": {"name": "patient", "wrapped_pruner": None, "patience": 1},
    "threshold": {"name": "threshold", "lower": 0.3},
    "wilcoxon": {"name": "wilcoxon", "n_startup_steps": 2, "p_threshold": 0.4},
}


def decisions(service: Service, objectives: list[Json], pruner: Json, *, restart: bool = False) -> list[list[str]]:
    """What eight trials hear, with the same values of the first objective whatever the second one is.

    Hyperband's brackets go by the name of the study, so its study has the same name in every run.
    """
    named = {"name": f"hyperband-{len(objectives)}"} if pruner["name"] == "hyperband" else {}
    name = service.create(**named, n_trials=8, objectives=objectives, pruner=pruner, sampler={"name": "tpe", "seed": 0})
    values = random.Random(0)
    heard: list[list[str]] = []
    for _ in range(8):
        lease = service.claim_one(name)
        level, said = values.random(), ["continue"]
        numbers = [level + 0.3 * values.random() for _ in range(4)]
        for step, value in enumerate(numbers):
            if said[-1] == "continue":
                said.append(service.report(lease, step, value, validation_loss=0.1 * step))
        if said[-1] == "continue":
            service.complete(lease, metrics={"validation_accuracy": numbers[-1], "validation_loss": level})
        heard.append(said[1:])
        if restart:
            service.restart()
    return heard


@pytest.mark.parametrize("pruner", PRUNERS)
def test_each_pruner_decides_as_for_one_objective(service: Service, pruner: str) -> None:
    alone = decisions(service, OBJECTIVES[:1], PRUNERS[pruner])

    by_first = decisions(service, OBJECTIVES, PRUNERS[pruner])
    assert pruner == "hyperband" or by_first == alone
    assert any("prune" in said for said in by_first)


def test_what_was_reported_is_known_after_a_restart(fresh_service: Service) -> None:
    expected = decisions(fresh_service, OBJECTIVES, PRUNERS["median"])
    assert any("prune" in said for said in expected)

    assert decisions(fresh_service, OBJECTIVES, PRUNERS["median"], restart=True) == expected


def test_what_an_attempt_reported_is_forgotten_with_it(service: Service) -> None:
    name = service.create(n_trials=2, objectives=OBJECTIVES, pruner={"name": "median", "n_startup_trials": 1})
    first = service.claim_one(name)
    service.report(first, 0, 0.5, validation_loss=1.0)
    service.complete(first, metrics={"validation_accuracy": 0.5, "validation_loss": 1.0})
    second = service.claim_one(name)
    assert service.report(second, 0, 0.9, validation_loss=1.0) == "continue"
    service.release(second)

    again = service.claim_one(name)

    assert again["trial_number"] == 1
    assert service.report(again, 0, 0.1, validation_loss=0.0) == "prune", "0.9 was another attempt's"
