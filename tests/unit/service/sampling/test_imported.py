"""Imported trials as a sampler sees them: of very many, GP sees some."""

from datetime import UTC, datetime

import pytest
from optuna.trial import FrozenTrial

from service.sampling.imported import frozen_trials
from service.schemas.study.definition import Definition
from service.schemas.study.samplers import Gp
from storage import ImportRecord
from tests.integration.service_driver import Json, definition

N = 1000
NEWEST = list(range(N - Gp.most_imported // 2, N))
TWO: list[Json] = [
    {"metric": "validation_accuracy", "direction": "maximize"},
    {"metric": "n_parameters", "direction": "minimize"},
]


def seen(sampler: str, objectives: list[Json], trials: list[Json]) -> list[FrozenTrial]:
    space = {"batch_size": {"type": "int", "low": 1, "high": N}}
    wanted = Definition.model_validate(definition(search_space=space, objectives=objectives, sampler=sampler))
    halves = [trials[: N // 2], trials[N // 2 :]]
    records = [ImportRecord(0, n, "x", "", datetime.now(UTC), "", {}, {}, half) for n, half in enumerate(halves)]
    return frozen_trials(wanted, records)


def imported(number: int, values: list[float], distance: float = -1.0) -> Json:
    return {"params": {"batch_size": number + 1}, "values": values, "constraints": {"size": distance}}


def numbers(trials: list[FrozenTrial]) -> list[int]:
    assert [trial.number for trial in trials] == list(range(len(trials)))
    return [trial.params["batch_size"] - 1 for trial in trials]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_gp_sees_the_best_and_the_newest(direction: str) -> None:
    sign = 1 if direction == "maximize" else -1
    trials = [imported(number, [sign * (1.0 if 300 <= number < 450 else 0.5)]) for number in range(N)]
    trials[7] = imported(7, [sign * 2.0], distance=1.0)  # which is not kept
    objectives = [{**TWO[0], "direction": direction}]
    assert numbers(seen("gp", objectives, trials)) == [*range(300, 450), *NEWEST]
    assert numbers(seen("tpe", objectives, trials)) == list(range(N))


def test_of_several_objectives_it_sees_the_best_of_each() -> None:
    trials = [imported(number, [0.5, 9.0]) for number in range(N)]
    for number in range(300, 375):
        trials[number] = imported(number, [1.0, 9.0])
        trials[number + 100] = imported(number + 100, [0.5, 1.0])
    assert numbers(seen("gp", TWO, trials)) == [*range(300, 375), *range(400, 475), *NEWEST]
