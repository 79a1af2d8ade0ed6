"""Every pruner of a definition runs through reports, whatever values come."""

import itertools
import logging
from typing import Any

import pytest

from tests.integration.service_driver import Json, Service

PRUNERS: dict[str, Json] = {
    "none": {"name": "none"},
    "median": {"name": "median", "n_startup_trials": 1, "n_warmup_steps": 0, "n_min_trials": 2},
    "percentile": {"name": "percentile", "percentile": 50.0, "n_startup_trials": 1, "interval_steps": 2},
    "percentile of nothing": {"name": "percentile", "percentile": 0, "n_startup_trials": 0},
    "percentile of all": {"name": "percentile", "percentile": 100, "n_startup_trials": 0},
    "halving": {"name": "successive_halving", "min_resource": 1, "reduction_factor": 2, "bootstrap_count": 1},
    "halving, auto": {"name": "successive_halving"},
    "hyperband": {"name": "hyperband", "min_resource": 1, "max_resource": 4, "reduction_factor": 2},
    "hyperband, auto": {"name": "hyperband"},
    "hyperband, one bracket": {"name": "hyperband", "min_resource": 4, "max_resource": 4, "bootstrap_count": 1},
    "patient": {"name": "patient", "patience": 1},
    "patient with another": {"name": "patient", "patience": 0, "wrapped_pruner": "median", "min_delta": 0.1},
    "patient with none": {"name": "patient", "patience": 1, "wrapped_pruner": "none"},
    "threshold": {"name": "threshold", "lower": 0.2, "upper": 0.95, "n_warmup_steps": 1},
    "wilcoxon": {"name": "wilcoxon", "p_threshold": 0.3, "n_startup_steps": 1},
}
CURVES: list[list[Any]] = [
    [0.5, 0.6, 0.7, 0.8],
    [0.1, 0.1, 0.1, 0.1],
    [0.5, "nan", "nan", "nan"],
    ["nan", "nan", "nan", "nan"],
    [0.9, "inf", "-inf", 0.9],
    [0.9, 0.9, 0.9, 0.9],
    [0.0, -0.0, 5e-324, 1.7e308],
]


def decisions_on(service: Service, lease: Json, curve: list[Any]) -> list[str]:
    """Report a whole curve at once."""
    reports = [
        {"lease_id": lease["lease_id"], "step": step, "metrics": {"validation_accuracy": value}}
        for step, value in enumerate(curve)
    ]
    answer = service.http.post("/v1/reports", json={"reports": reports})
    assert answer.status_code == 200, answer.text
    return [decided["decision"] for decided in answer.json()["decisions"]]


@pytest.mark.filterwarnings("ignore:The intermediate values of the:UserWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("pruner", "direction"),
    [*((pruner, "maximize") for pruner in PRUNERS), ("median", "minimize"), ("patient", "minimize")],
)
def test_a_pruner_runs(service: Service, pruner: str, direction: str, caplog: pytest.LogCaptureFixture) -> None:
    name = service.create(
        n_trials=len(CURVES),
        pruner=PRUNERS[pruner],
        objectives=[{"metric": "validation_accuracy", "direction": direction}],
    )
    decisions = set()
    for curve in CURVES:
        (lease,) = service.claim(name)
        decisions |= set(decisions_on(service, lease, curve))
        service.complete(lease, 0.5)

    assert decisions <= {"continue", "prune"}
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert service.study(name)["state"] == "finished"
    if pruner == "none":
        assert decisions == {"continue"}


@pytest.mark.parametrize("n_startup_trials", [0, 2])
def test_the_first_trials_are_never_pruned(service: Service, n_startup_trials: int) -> None:
    """Later ones are compared with them; without `n_startup_trials` halving begins with the second trial."""
    pruner = {"name": "successive_halving", "min_resource": 1, "reduction_factor": 2}
    name = service.create(n_trials=7, pruner={**pruner, "n_startup_trials": n_startup_trials})
    decisions = []
    for value in (0.9, 0.5, 0.4, 0.3, 0.2, 0.1, 0.95):  # each but the last is the worst so far
        lease = service.claim_one(name)
        decisions.append([service.report(lease, step, value) for step in range(2)][-1])
        if decisions[-1] == "continue":
            service.complete(lease, value)

    second = "continue" if n_startup_trials == 2 else "prune"
    assert decisions == ["continue", second, *(["prune"] * 4), "continue"]


def test_the_threshold_is_checked_from_its_first_step_on(service: Service) -> None:
    name = service.create(pruner={"name": "threshold", "lower": 0.5, "n_warmup_steps": 2, "interval_steps": 2})
    lease = service.claim_one(name)

    assert [service.report(lease, step, 0.1) for step in range(3)] == ["continue", "continue", "prune"]


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_a_sampler_learns_beside_a_hyperband(service: Service, sampler: str) -> None:
    name = service.create(
        n_trials=8,
        pruner=PRUNERS["hyperband"],
        sampler={"name": sampler, "seed": 0, "n_startup_trials": 2},
        search_space={
            "momentum": {"type": "float", "low": 0.0, "high": 0.9},
            "dropout": {"type": "float", "low": 0.0, "high": 0.9},
        },
    )
    for value in itertools.islice(itertools.cycle([0.9, 0.1, 0.5]), 8):
        lease = service.claim_one(name)
        if service.report(lease, 1, value) == "continue":
            service.complete(lease, value)

    assert service.study(name)["state"] == "finished"
