"""Searches on recorded trainings: what is looked up, counted and compared."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial

from benchmarks import search as benchmark
from benchmarks.recorded.replay import N_WORKERS, Searched, search
from benchmarks.recorded.table import FAILED, Table
from benchmarks.recorded.tasks import TASKS, Space, Task
from service.pruning.halving import IndexedHalving
from service.pruning.pruners import build_pruner
from service.schemas.results import Curves, Trial
from service.schemas.study.definition import Definition
from service.schemas.study.samplers import Tpe

pytestmark = pytest.mark.heavy

SPACE: Space = {
    "learning_rate": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
    "dropout": {"type": "float", "low": 0.0, "high": 0.5},
}


@pytest.fixture
def table() -> Table:
    """Two configurations; the second is good, a third failed after its first epoch."""
    params = np.array([[1e-4, 0.0], [1e-2, 0.5], [1.0, 0.0]])
    correct = np.array([[10, 20, 30], [50, 70, 90], [40, FAILED, FAILED]], np.uint16)
    return Table(SPACE, params, correct, 100, n_nearest=1)


@pytest.mark.parametrize(
    ("learning_rate", "dropout", "curve"),
    [
        (1e-4, 0.0, [0.1, 0.2, 0.3]),
        (3e-4, 0.1, [0.1, 0.2, 0.3]),
        (2e-2, 0.4, [0.5, 0.7, 0.9]),  # ten times nearer to 1.0 than to 1e-4, on a scale that is not logarithmic
        (1.0, 0.1, [0.4, math.nan, math.nan]),
    ],
)
def test_a_configuration_has_the_curve_of_the_nearest(
    table: Table, learning_rate: float, dropout: float, curve: list[float]
) -> None:
    assert table.curve({"learning_rate": learning_rate, "dropout": dropout}) == pytest.approx(curve, nan_ok=True)


def test_the_best_is_what_a_trial_ended_with(table: Table) -> None:
    assert table.best == 0.9
    assert table.share_good(0.9) == 1 / 3
    assert table.share_good(0.1) == 2 / 3


def test_several_that_are_near_are_averaged_without_those_that_failed(table: Table) -> None:
    several = replace(table, n_nearest=3)
    assert several.curve({"learning_rate": 1e-2, "dropout": 0.5}) == pytest.approx([0.3, 0.45, 0.6])
    assert several.curve({"learning_rate": 1.0, "dropout": 0.0}) == pytest.approx(
        [0.4, math.nan, math.nan], nan_ok=True
    )
    assert several.best == pytest.approx(0.6)


def test_a_table_is_made_of_trials_and_their_curves() -> None:
    trials = [_trial(0, "COMPLETE", [0.25, 0.5]), _trial(1, "FAIL", [0.75])]
    made = Table.of_trials(SPACE, trials, epochs=2, n_validation=4)
    assert made.correct.tolist() == [[1, 2], [3, FAILED]]
    assert made.params.tolist() == [[0.01, 0.25], [0.01, 0.25]]


def test_a_table_is_read_as_it_was_written(table: Table, tmp_path: Path) -> None:
    table.save("one", tmp_path)
    again = Table.load("one", SPACE, tmp_path)
    assert again.correct.tolist() == table.correct.tolist()
    assert again.params.tolist() == table.params.tolist()
    assert again.n_validation == 100


def test_a_pruned_trial_is_no_whole_training() -> None:
    with pytest.raises(ValueError, match="trial 0 is PRUNED after 1 of 2 epochs"):
        Table.of_trials(SPACE, [_trial(0, "PRUNED", [0.25])], epochs=2, n_validation=4)


def _trial(number: int, state: str, values: list[float]) -> tuple[Trial, Curves]:
    fields = dict.fromkeys(name for name, field in Trial.model_fields.items() if field.is_required())
    fields |= {"metrics": {}, "attempts": []}
    params = {"learning_rate": 0.01, "dropout": 0.25}
    trial = Trial.model_validate(fields | {"study": "one", "number": number, "state": state, "params": params})
    return trial, Curves(steps=list(range(len(values))), metrics={"validation_accuracy": list(values)})


def always(params: dict[str, float]) -> optuna.samplers.BaseSampler:
    with pytest.warns(ExperimentalWarning):
        return optuna.samplers.PartialFixedSampler(params, optuna.samplers.RandomSampler(seed=0))


def replayed(table: Table, params: dict[str, float], target: float, budget: int, pruner: object = "none") -> Searched:
    fields = {"training": {"dataset": "digits", "model": "mlp", "epochs": 3}, "n_trials": 9, "pruner": pruner}
    definition = Definition.model_validate({"name": "one", "search_space": SPACE, **fields})
    return search(table, definition, always(params), build_pruner(definition.pruner), target, budget)


def test_epochs_of_trials_in_flight_are_counted(table: Table) -> None:
    """All four begin with the good configuration; the first is complete when the others have trained all but one."""
    found = replayed(table, {"learning_rate": 1e-2, "dropout": 0.5}, 0.9, budget=1000)
    assert found.epochs == 2 * N_WORKERS + 1
    assert found.best == 0.9


@pytest.mark.parametrize("n_spare", [0, 2])
def test_spare_trials_are_sampled_before_as_many_results_are_known(table: Table, n_spare: int) -> None:
    known: list[int] = []

    class Recording(optuna.samplers.RandomSampler):
        def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
            known.append(sum(one.state.is_finished() for one in study.get_trials(deepcopy=False)))
            return super().infer_relative_search_space(study, trial)

    fields = {"training": {"dataset": "digits", "model": "mlp", "epochs": 3}, "n_trials": 9, "pruner": "none"}
    definition = Definition.model_validate({"name": "one", "search_space": SPACE, **fields})
    pruner = build_pruner(definition.pruner)
    search(table, definition, Recording(seed=0), pruner, math.inf, 60, n_spare=n_spare)
    at_once = N_WORKERS + n_spare
    assert known == [*[0] * at_once, *range(1, len(known) - at_once + 1)]


def test_a_search_that_spends_its_budget_has_not_reached_it(table: Table) -> None:
    found = replayed(table, {"learning_rate": 1e-4, "dropout": 0.0}, 0.9, budget=30)
    assert found.epochs is None
    assert found.best == 0.3


def test_a_trial_that_failed_costs_what_it_trained(table: Table) -> None:
    found = replayed(table, {"learning_rate": 1.0, "dropout": 0.0}, 0.9, budget=5)
    assert (found.epochs, found.best) == (None, -math.inf)


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_what_is_recorded_belongs_to_its_task(task: Task) -> None:
    recorded = Table.of_task(task)
    assert recorded.correct.shape == (task.trials, task.epochs)
    for column, field in zip(recorded.params.T, task.space.values(), strict=True):
        assert field["low"] * (1 - 1e-6) <= column.min() < column.max() <= field["high"] * (1 + 1e-6)
    assert 0.2 < recorded.best < 1.0


ARMS = list(benchmark.arms(["mnist-mlp"], ["random", "tpe", "cmaes"], list(benchmark.PRUNERS)))


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: f"{arm.sampler} {arm.pruner}")
def test_every_arm_searches(arm: benchmark.Arm) -> None:
    task = TASKS[arm.task]
    recorded = Table.of_task(task)
    found = search(recorded, *benchmark.built(arm, task, 0), target=2.0, budget=10 * task.epochs)
    assert found.epochs is None
    assert 0 < found.best <= recorded.best


def test_trials_pause_and_go_on_as_successive_halving_promotes_them(table: Table) -> None:
    """All are alike, so the earlier one of two goes on. The first trial pauses after an epoch, goes on when the second
    one has come there, pauses after two, goes on when the second one has come there, and is complete."""
    found = replayed(
        table,
        {"learning_rate": 1e-2, "dropout": 0.5},
        0.9,
        budget=1000,
        pruner={"name": "successive_halving", "min_resource": 1, "reduction_factor": 2, "promote": True},
    )
    assert found.epochs == 7 + 2 * 2 + 1


def test_the_default_is_what_a_definition_without_both_gets() -> None:
    task = TASKS["mnist-mlp"]
    definition, sampler, pruner = benchmark.built(benchmark.Arm(task.name, benchmark.DEFAULT), task, 0)
    assert (definition.sampler, definition.pruner) == (Tpe(name="tpe", seed=0), task.definition().pruner)
    assert isinstance(sampler, optuna.samplers.TPESampler)
    assert isinstance(pruner, IndexedHalving)
    assert definition.promotes


def test_optunas_own_default_is_built_by_optuna() -> None:
    _, sampler, pruner = benchmark.built(benchmark.Arm("mnist-mlp", benchmark.OPTUNA), TASKS["mnist-mlp"], 0)
    stock = optuna.create_study()
    assert type(sampler) is type(stock.sampler)
    assert vars(pruner) == vars(stock.pruner)


def test_a_cut_task_has_the_first_epochs_of_its_record() -> None:
    whole, cut = Table.of_task(TASKS["mnist-mlp"]), Table.of_task(TASKS["mnist-mlp-3-epochs"])
    assert cut.correct.tolist() == whole.correct[:, :3].tolist()


def test_the_interval_holds_the_median_and_knows_never() -> None:
    assert benchmark.interval([5.0] * 9) == (5.0, 5.0)
    low, high = benchmark.interval([1.0, 2.0, 3.0, math.inf, math.inf])
    assert low < 3.0
    assert high == math.inf
