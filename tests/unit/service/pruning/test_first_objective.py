"""What is kept of the first of several objectives for its pruner."""

import tracemalloc
from collections.abc import Iterator

import optuna
import pytest

from service.pruning.ask import FirstObjective, pruning_of
from service.schemas.study.definition import Definition
from storage import Store
from tests.integration.service_driver import definition

OBJECTIVES = [
    {"metric": "validation_accuracy", "direction": "maximize"},
    {"metric": "validation_loss", "direction": "minimize"},
]
N_REPORTS = 20_000


@pytest.fixture
def pruning(sqlite_url: str) -> Iterator[FirstObjective]:
    store = Store.open(sqlite_url)
    study = optuna.create_study(storage=store.optuna, directions=["maximize", "minimize"])
    given = Definition.model_validate(definition(objectives=OBJECTIVES, pruner="median"))
    made = pruning_of(store, study, given)
    assert isinstance(made, FirstObjective)
    yield made
    store.close()


def test_a_report_takes_few_bytes(pruning: FirstObjective) -> None:
    """So that trials may have a million steps. A dictionary of steps and values takes 100 bytes or more for each."""
    pruning.note(1, 0, 0.5)
    tracemalloc.start()
    for step in range(1, N_REPORTS):
        pruning.note(1, step, step / 7)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 24 * N_REPORTS


def test_values_after_a_step_are_forgotten(pruning: FirstObjective) -> None:
    for step in range(4):
        pruning.note(1, step, step / 7)
    pruning.forget(1, after_step=1)
    pruning.note(1, 2, 0.5)
    assert pruning._values[1] == {0: 0.0, 1: 1 / 7, 2: 0.5}
    pruning.forget(1, after_step=None)
    assert 1 not in pruning._values
