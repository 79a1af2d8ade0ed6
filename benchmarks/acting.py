"""A study whose trials nobody trains: made-up numbers, reported as quickly as the service answers."""

import itertools
import math
import random
from typing import Any

from service.client import Client
from service.schemas.protocol import Claim, Complete, Lease, Report, Reports
from service.schemas.worker_info import WorkerInfo

METRIC = "validation_accuracy"
N_EPOCHS = 20
N_AT_ONCE = 64


def definition(name: str, n_trials: int) -> dict[str, Any]:
    """A study without a pruner."""
    space = {
        "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
        "dropout": {"type": "float", "low": 0.0, "high": 0.5},
        "batch_size": {"type": "int", "low": 16, "high": 512, "log": True},
    }
    training = {"dataset": "digits", "model": "mlp", "epochs": N_EPOCHS}
    sampler = {"name": "random", "seed": 0}
    return {
        "name": name,
        "search_space": space,
        "training": training,
        "sampler": sampler,
        "pruner": "none",
        "n_trials": n_trials,
    }


class ActingWorker:
    """Claims trials and reports made-up numbers, as quickly as the service answers."""

    def __init__(self, client: Client, study: str) -> None:
        self._client = client
        self._study = study
        self._numbers = random.Random(0)
        self._claims = itertools.count()

    def claim(self, n_trials: int) -> list[Lease]:
        """Claim up to so many trials."""
        wanted = Claim(
            claim_id=f"{self._study}-{next(self._claims)}",
            worker=WorkerInfo(id=f"acting-{self._study}", host="lab"),
            max_trials=n_trials,
            study=self._study,
        )
        return self._client.claim(wanted).leases

    def report(self, leases: list[Lease], step: int) -> None:
        """Report one epoch of each trial, in one call."""
        self._client.report(
            Reports(
                reports=[Report(lease_id=one.lease_id, step=step, metrics=self._metrics(one, step)) for one in leases]
            )
        )

    def complete(self, lease: Lease) -> None:
        """Complete a trial."""
        self._client.complete(lease.lease_id, Complete(metrics=self._metrics(lease, N_EPOCHS - 1)))

    def _metrics(self, lease: Lease, step: int) -> dict[str, float]:
        top = 0.6 + 0.3 * math.exp(-((math.log10(float(str(lease.params["learning_rate"]))) + 3) ** 2))
        accuracy = top * (1 - math.exp(-(step + 1) / 4)) + 0.01 * self._numbers.random()
        return {
            METRIC: accuracy,
            "validation_loss": 1 - accuracy,
            "train_accuracy": accuracy,
            "train_loss": 1 - accuracy,
        }


def fill(client: Client, name: str, n_trials: int) -> None:
    """Make a study whose trials have all been trained."""
    client.create_study(definition(name, n_trials))
    worker = ActingWorker(client, name)
    while leases := worker.claim(N_AT_ONCE):
        for step in range(N_EPOCHS):
            worker.report(leases, step)
        for lease in leases:
            worker.complete(lease)
