"""What tests of imports bring in."""

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from tests.integration.service_driver import Json

SPACE: Json = {
    "learning_rate": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
    "batch_size": {"type": "int", "low": 16, "high": 256, "log": True},
}
DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(1e-5, 0.1, log=True),
    "batch_size": IntDistribution(16, 256, log=True),
}
TPE: Json = {"name": "tpe", "seed": 7, "n_startup_trials": 10}


def one(**changes: Any) -> Json:
    return {"params": {"learning_rate": 0.01, "batch_size": 64}, "values": [0.9], **changes}


def value_of(params: Json) -> float:
    value: float = 1.0 - abs(params["learning_rate"] - 0.01) - params["batch_size"] / 1000
    return value


def stock_trials(trials: Sequence[Json]) -> list[FrozenTrial]:
    """The finished trials of a list as a user of stock Optuna would add them."""
    made = []
    for trial in trials:
        if trial["state"] == "FAIL":
            continue
        pruned = trial["state"] == "PRUNED"
        made.append(
            create_trial(
                state=TrialState[trial["state"]],
                values=None if pruned else trial["values"],
                params=trial["params"],
                distributions=DISTRIBUTIONS,
                intermediate_values={trial["step"]: trial["metrics"]["validation_accuracy"]} if pruned else {},
            )
        )
    return made


def asked(study: optuna.Study) -> optuna.Trial:
    trial = study.ask()
    trial.suggest_float("learning_rate", 1e-5, 0.1, log=True)
    trial.suggest_int("batch_size", 16, 256, log=True)
    return trial
