"""Studies whose trials a test trains itself through the client, so that each state occurs."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from service.client import Client
from service.schemas.code_calls import NewUserAttrs, Suggest
from service.schemas.protocol import Claim, Complete, Fail, Lease, Report, Reports
from service.schemas.worker_info import WorkerInfo

METRIC = "validation_accuracy"
SPACE: dict[str, Any] = {
    "learning_rate": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
    "dropout": {"type": "float", "low": 0.0, "high": 0.5, "step": 0.1},
    "batch_size": {"type": "int", "low": 16, "high": 256, "log": True},
    "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
    "momentum": {"type": "float", "low": 0.0, "high": 0.99, "when": {"optimizer": ["sgd"]}},
    "gradient_clip": {"type": "categorical", "choices": [None, 1.0]},
}
DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(1e-5, 0.1, log=True),
    "dropout": FloatDistribution(0.0, 0.5, step=0.1),
    "batch_size": IntDistribution(16, 256, log=True),
    "optimizer": CategoricalDistribution(["sgd", "adam"]),
    "momentum": FloatDistribution(0.0, 0.99),
    "gradient_clip": CategoricalDistribution([None, 1.0]),
}
ENTRYPOINT = "tuned.examples:objective"


def definition(name: str, **changes: Any) -> dict[str, Any]:
    """A definition with every kind of parameter, a threshold pruner and seven trials."""
    return {
        "name": name,
        "search_space": SPACE,
        "training": {"dataset": "digits", "model": "mlp"},
        "sampler": {"name": "random", "seed": 3},
        "pruner": {"name": "threshold", "lower": 0.2},
        "n_trials": 7,
        **changes,
    }


def claimed(client: Client, study: str) -> Lease:
    """The lease of the study's next trial."""
    claim = Claim(claim_id=secrets.token_hex(8), worker=WorkerInfo(id="by-hand"), study=study, allow=["tuned"])
    (lease,) = client.claim(claim).leases
    return lease


def report(client: Client, lease: Lease, step: int, **metrics: float) -> str:
    """Report metrics of a step, and return the decision."""
    reports = Reports(reports=[Report(lease_id=lease.lease_id, step=step, metrics=metrics)])
    return client.report(reports).decisions[0].decision


def completed(client: Client, study: str, value: float, **metrics: float) -> Lease:
    """Train a trial for two steps, the second with this value, and return its lease."""
    lease = claimed(client, study)
    report(client, lease, 0, **{METRIC: value / 2})
    report(client, lease, 1, **{METRIC: value})
    client.complete(lease.lease_id, Complete(metrics={METRIC: value, **metrics}))
    return lease


def study_in_every_state(client: Client, name: str, value: Callable[[int], float] = lambda n: 0.5 + n / 10) -> None:
    """Trials 0 to 2 are COMPLETE (0 has an infinite metric), then PRUNED, FAIL and RUNNING; the last one is WAITING."""
    client.create_study(definition(name))
    for number in range(3):
        completed(client, name, value(number), train_loss=float("inf") if number == 0 else 0.1)
    pruned = claimed(client, name)
    report(client, pruned, 0, **{METRIC: 0.4})
    assert report(client, pruned, 1, **{METRIC: 0.1}) == "prune"
    client.fail(claimed(client, name).lease_id, Fail(reason="it broke", retry=False))
    report(client, claimed(client, name), 0, **{METRIC: 0.3})
    client.enqueue(name, {"learning_rate": 0.01, "optimizer": "adam"})


def study_of_custom_objective(client: Client, name: str) -> None:
    """Two objectives, define-by-run parameters of which one has another range in each trial, and user attributes."""
    client.create_study(
        {
            "name": name,
            "objectives": [
                {"metric": "loss", "direction": "minimize"},
                {"metric": "size", "direction": "maximize"},
            ],
            "training": {"entrypoint": ENTRYPOINT},
            "sampler": {"name": "random", "seed": 3},
            "n_trials": 3,
        }
    )
    for number in range(3):
        lease = claimed(client, name)
        suggest(client, lease, "depth", {"type": "int", "low": 1, "high": 4 + number})
        suggest(client, lease, "kind", {"type": "categorical", "choices": ["a", True, None, 2.5]})
        client.set_user_attrs(lease.lease_id, NewUserAttrs(user_attrs={"note": {"of": [number, None]}}))
        client.complete(lease.lease_id, Complete(values=[0.1 * number, float("inf")]))


def suggest(client: Client, lease: Lease, name: str, distribution: Mapping[str, Any]) -> Any:
    """The value of a define-by-run parameter."""
    body = Suggest.model_validate({"name": name, "distribution": distribution})
    return client.suggest(lease.lease_id, body).value
