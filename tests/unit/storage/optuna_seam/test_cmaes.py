"""CMA-ES goes on from its own optimizer, and runs no code that somebody has put in the place of it."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from cmaes import CMA  # type: ignore[import-untyped]
from optuna.samplers import CmaEsSampler

from storage.optuna_seam.cmaes import SafeCmaEsSampler, load_optimizer

OPTIONS: list[dict[str, Any]] = [{}, {"use_separable_cma": True}, {"with_margin": True}, {"lr_adapt": True}]


class Runs:
    """What a pickle can do: it calls any function when it is loaded."""

    def __init__(self, *call: Any) -> None:
        self._call = call

    def __reduce__(self) -> Any:
        return self._call[0], self._call[1:]


def objective(trial: optuna.Trial) -> float:
    return trial.suggest_float("x", 0, 1) ** 2 + trial.suggest_float("y", 0, 1) ** 2


def suggested(sampler: CmaEsSampler, n_trials: int) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials)
    return [trial.params for trial in study.trials]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("options", OPTIONS)
def test_it_suggests_what_optunas_own_does(options: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    safe, stock = (kind(seed=1, n_startup_trials=2, **options) for kind in (SafeCmaEsSampler, CmaEsSampler))
    assert suggested(safe, 40) == suggested(stock, 40)
    assert "refused" not in caplog.text


def optimizer() -> CMA:
    return CMA(mean=np.zeros(2), sigma=1.0)


def holding(value: Any) -> bytes:
    """The pickle of an optimizer that has one more attribute."""
    made = optimizer()
    made.more = value
    return pickle.dumps(made)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: pickle.dumps(Runs(os.system, f"touch {path}")),
        lambda path: holding(Runs(Path.touch, path)),
        lambda path: holding(Runs(eval, f"open({str(path)!r}, 'w')")),
        lambda path: pickle.dumps(OrderedDict()),
        lambda path: pickle.dumps({"a": 1}),
        lambda path: holding(np.array([{"a": 1}], dtype=object)),
        lambda path: b"",
        lambda path: pickle.dumps(optimizer())[:-20],
    ],
)
def test_anything_but_an_optimizer_is_refused(make: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touched = tmp_path / "touched"
    pickled = make(touched)
    with pytest.raises((pickle.UnpicklingError, EOFError)):
        load_optimizer(pickled)

    sampler = SafeCmaEsSampler(seed=1, n_startup_trials=1)
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, 3)
    attrs = sampler._split_optimizer_str(pickled.hex() or "00")
    study.add_trial(
        optuna.trial.create_trial(
            value=0.5, params=study.best_params, distributions=study.best_trial.distributions, system_attrs=attrs
        )
    )
    study.optimize(objective, 3)

    assert not touched.exists()
    assert "the optimizer stored with trial 3 is refused" in caplog.text
    assert all(trial.state.is_finished() for trial in study.trials)


def test_an_optimizer_comes_back_as_it_went() -> None:
    made = optimizer()
    assert load_optimizer(pickle.dumps(made)).population_size == made.population_size
