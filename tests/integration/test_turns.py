"""No call, however large or hostile, holds the event loop for long: its other callers wait for each turn."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.service_driver import Json, Service, definition
from tests.turns import measured_turns, unit_seconds

pytestmark = [pytest.mark.processes, pytest.mark.heavy]

MAX_UNITS = 8
"""A turn may take as long as this many units: about a tenth of a second."""
JSON = {"Content-Type": "application/json"}
CODE: Json = {
    "training": {"entrypoint": "mine.train:f"},
    "objectives": [{"metric": "loss", "direction": "minimize"}],
}
NUMBERS: Json = {"type": "categorical", "choices": list(range(1, 257))}
TEXTS: Json = {"type": "categorical", "choices": [f"c{index}" for index in range(256)]}
LAYERS: Json = {f"model.hidden.{index}": {"type": "int", "low": 16, "high": 64} for index in range(30)}


def post(service: Service, path: str, body: Any) -> int:
    return service.http.post(f"/v1{path}", content=json.dumps(body), headers=JSON).status_code


def many_choices(service: Service) -> int:
    space = {f"model.hidden.{index}": NUMBERS for index in range(64)}
    return post(service, "/studies", definition(search_space=space))


def deep_conditions(service: Service) -> int:
    names = [f"p{index}" for index in range(97)]
    space: Json = {"q": {"type": "int", "low": 0, "high": 9998}}
    space |= {name: {"type": "categorical", "choices": ["a"]} for name in names}
    space["r"] = {"type": "categorical", "choices": ["b"], "when": {**{name: ["a"] for name in names}, "q": [1]}}
    return post(service, "/studies", definition(**CODE, search_space=space, sampler="brute_force", n_trials=10_000))


def many_enqueued(service: Service) -> int:
    space = {f"p{index}": TEXTS for index in range(100)}
    enqueued = [{f"p{index}": "c255" for index in range(100)}] * 400
    return post(service, "/studies", definition(**CODE, search_space=space, enqueue=enqueued, n_trials=1000))


def many_errors(service: Service) -> int:
    return post(service, "/studies", definition(**{str(index): 0 for index in range(60_000)}))


def many_errors_of_another_call(service: Service) -> int:
    return post(service, "/tokens", {str(index): 0 for index in range(60_000)})


def imported(service: Service, trial: Json) -> int:
    name = service.create(**CODE, sampler="tpe", search_space={f"p{index}": TEXTS for index in range(30)})
    n_trials = 3_500_000 // len(json.dumps(trial))
    return post(service, f"/studies/{name}/imports", {"source": "elsewhere", "trials": [trial] * n_trials})


def large_import(service: Service) -> int:
    params = {f"p{index}": "c1" for index in range(30)}
    return imported(service, {"state": "COMPLETE", "values": [0.5], "params": params})


def wrong_import(service: Service) -> int:
    return imported(service, {"state": "COMPLETE", "values": [0.5], "params": {f"p{index}": [] for index in range(30)}})


def leases(service: Service, n: int, **changes: Any) -> list[str]:
    name = service.create(n_trials=2 * n, **changes)
    for _ in range(3):  # until the service knows what a claim costs
        service.claim(name)
    return [lease["lease_id"] for lease in service.claim(name, n)]


def claim_of_many(service: Service) -> int:
    return 200 if len(leases(service, 300, search_space=LAYERS)) == 300 else 0


def report_of_many(service: Service) -> int:
    held = leases(service, 300, pruner="median")
    metrics = {"train_loss": 0.5, "validation_accuracy": 0.5}
    answers = [
        post(service, "/reports", {"reports": [{"lease_id": one, "step": step, "metrics": metrics} for one in held]})
        for step in range(3)
    ]
    return max(answers)


def renewal_of_many(service: Service) -> int:
    held = leases(service, 300)
    return max(post(service, "/leases/renew", {"lease_ids": held}) for _ in range(3))


def many_leases_that_expire(service: Service) -> int:
    name = service.create(n_trials=1000)
    for _ in range(3):
        service.claim(name)
    service.claim(name, 300)
    service.clock.advance(1000)
    return 200 if service.claim(name) else 0


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (many_choices, 201),
        (deep_conditions, 201),
        (many_enqueued, 201),
        (many_errors, 422),
        (many_errors_of_another_call, 422),
        (large_import, 201),
        (wrong_import, 422),
        (claim_of_many, 200),
        (report_of_many, 200),
        (renewal_of_many, 200),
        (many_leases_that_expire, 200),
    ],
)
def test_a_turn_of_the_event_loop_is_short(service: Service, call: Callable[[Service], int], status: int) -> None:
    unit = unit_seconds()

    with measured_turns(service.http) as turns:
        assert call(service) == status

    assert turns.longest < MAX_UNITS * unit
