"""What tests of promotion do over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna

from tests.integration.service_driver import Json, Service

PRUNER: Json = {
    "name": "successive_halving",
    "min_resource": 1,
    "reduction_factor": 2,
    "promote": True,
    "n_finalists": 0,
}


@contextmanager
def stock_trials(service: Service, name: str) -> Iterator[list[optuna.trial.FrozenTrial]]:
    """As stock Optuna reads them."""
    storage = optuna.storages.RDBStorage(service.url)
    try:
        yield optuna.load_study(study_name=name, storage=storage).trials
    finally:
        storage.remove_session()
        storage.engine.dispose()


def create(service: Service, n_trials: int = 4, pruner: Json = PRUNER, **changes: Any) -> str:
    training = {"dataset": "digits", "model": "mlp", "epochs": 4}
    return service.create(**{"n_trials": n_trials, "pruner": pruner, "training": training, **changes})


def pause(service: Service, lease: Json, step: int, value: float, **metrics: float) -> Json:
    """Report at a rung, and pause as the decision must say; the lease is answered."""
    assert service.report(lease, step, value, **metrics) == "pause"
    service.upload(lease, "checkpoint", f"state after {step}".encode(), step)
    assert service.pause(lease) == "WAITING"
    return lease
