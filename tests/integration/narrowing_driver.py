"""What tests of narrowing rounds do over HTTP."""

import math
from typing import Any

from tests.integration.service_driver import LEARNING_RATE, Json, Service

DROPOUT: Json = {"type": "float", "low": 0.0, "high": 0.5}


SPACE: Json = {
    "learning_rate": LEARNING_RATE,
    "dropout": DROPOUT,
    "batch_size": {"type": "int", "low": 8, "high": 64},
}


NARROWING: Json = {"rounds": 3, "trials_per_round": 6, "keep_top": 2, "margin": 0.1}


def value_of(params: Json) -> float:
    """Best at a learning rate of 1e-3 and a dropout of 0.2, which lie inside of their ranges."""
    lost = 0.1 * abs(math.log10(params["learning_rate"]) + 3)
    return float(1 - lost - abs(params.get("dropout", 0.2) - 0.2))


def create(service: Service, **changes: Any) -> str:
    return service.create(**{"search_space": SPACE, "n_trials": 18, "narrowing": NARROWING, **changes})


def finish(service: Service, lease: Json) -> None:
    service.complete(lease, value_of(lease["params"]))


def run(service: Service, name: str, n_trials: int) -> None:
    for _ in range(n_trials):
        finish(service, service.claim_one(name))


def rounds(service: Service, name: str) -> list[Json]:
    found: list[Json] = service.get(f"/studies/{name}/rounds")["rounds"]
    return found


def narrow(service: Service, name: str, **body: Any) -> Any:
    return service.http.post(f"/v1/studies/{name}/narrow", json=body)


def is_inside(params: Json, ranges: Json) -> bool:
    return all(one["low"] <= params[name] <= one["high"] for name, one in ranges.items())
