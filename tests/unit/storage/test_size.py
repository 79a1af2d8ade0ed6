"""What a finished trial takes of memory, loaded or finished while we run."""

import gc
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import RandomSampler

from storage import GroupCommitStorage
from storage.trials.loading import load
from storage.trials.rows import DistributionCache

pytestmark = pytest.mark.heavy

N_TRIALS = 1_000
N_STEPS = 20
MAX_BYTES = 6_000
PARAMETERS: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(1e-6, 1e-2, log=True),
    "dropout": FloatDistribution(0.0, 0.5),
    "optimizer": CategoricalDistribution(("sgd", "adam")),
}


def bytes_kept(make: Callable[[], object]) -> int:
    """Bytes that `make` leaves allocated while its answer is kept."""
    gc.collect()
    tracemalloc.start()
    try:
        kept = make()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        del kept


def new_study(storage: GroupCommitStorage) -> optuna.Study:
    return optuna.create_study(storage=storage, sampler=RandomSampler(seed=0))


def finish_trials(storage: GroupCommitStorage, study: optuna.Study, n_trials: int) -> None:
    numbers = random.Random(0)
    for _ in range(0, n_trials, 50):
        with storage.transaction():
            for _ in range(50):
                trial = study.ask(PARAMETERS)
                for step in range(N_STEPS):
                    trial.report(numbers.random(), step)
                study.tell(trial, numbers.random())


def add_finished(storage: GroupCommitStorage, study: optuna.Study, n_trials: int) -> None:
    numbers = random.Random(0)
    with storage.transaction():
        for _ in range(n_trials):
            params = {
                "learning_rate": numbers.uniform(1e-6, 1e-2),
                "dropout": numbers.random() / 2,
                "optimizer": "adam",
            }
            reports = {step: numbers.random() for step in range(N_STEPS)}
            study.add_trial(
                optuna.create_trial(
                    params=params, distributions=PARAMETERS, value=numbers.random(), intermediate_values=reports
                )
            )


def test_a_trial_finished_live_takes_at_most_six_kilobytes(tmp_path: Path) -> None:
    storage = GroupCommitStorage(f"sqlite:///{tmp_path / 'narrows.db'}")
    study = new_study(storage)
    finish_trials(storage, study, 50)  # what is made once is not a trial's
    kept = bytes_kept(lambda: finish_trials(storage, study, N_TRIALS))
    assert storage.get_n_trials(study._study_id) == N_TRIALS + 50
    assert kept / N_TRIALS <= MAX_BYTES
    storage.close()


def test_a_loaded_finished_trial_takes_at_most_six_kilobytes(database_url: str) -> None:
    storage = GroupCommitStorage(database_url)
    study = new_study(storage)
    add_finished(storage, study, N_TRIALS)
    load(storage.engine, DistributionCache())  # what is made once is not a trial's
    kept = bytes_kept(lambda: load(storage.engine, DistributionCache()))
    assert kept / N_TRIALS <= MAX_BYTES
    storage.close()
