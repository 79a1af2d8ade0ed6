"""Random JSON in random places of good bodies: answered with success or a problem, never with a 500.

Bounded in examples, and the same in every run. NARROWS_FUZZ_SEED=… tries others.
"""

import copy
import json
import os
import secrets
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, seed, settings
from hypothesis import strategies as st

from tests.integration.service_driver import LEARNING_RATE, Json, Service, definition, problem_of

pytestmark = pytest.mark.slow

SEED = int(os.environ.get("NARROWS_FUZZ_SEED", "0"))
EXAMPLES = 80

bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

numbers = st.sampled_from(
    [0, -0.0, 1, 1.0, -1, 0.5, 1e-300, 1e300, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**30, 10**400, 5e-324]
)
odd_floats = st.sampled_from([float("nan"), float("inf"), float("-inf")])
strings = st.sampled_from(
    ["", "x", "nan", "inf", "NaN", "1", "true", "null", "\0", "\ud800", "\U0001f98a", "a/b", ".", "a.b", "é" * 200]
) | st.text(max_size=4)
WORDS = """
digits mlp cnn resnet18 tpe grid brute_force cmaes gp hyperband wilcoxon patient learning_rate optimizer momentum
model.hidden.0 schedule schedule.gamma dropout dropout.0 validation_loss n_parameters maximize sgd adamw step float int
"""
words = st.sampled_from(WORDS.split())
leaves = st.none() | st.booleans() | numbers | odd_floats | strings | words | st.integers(-5, 5)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(strings | words, inner, max_size=3),
    max_leaves=6,
)

DEFINITION: Json = {
    **definition(),
    "objectives": [{"metric": "validation_accuracy", "direction": "maximize"}],
    "search_space": {
        "learning_rate": LEARNING_RATE,
        "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
        "momentum": {"type": "float", "low": 0.0, "high": 0.9, "step": 0.1, "when": {"optimizer": ["sgd"]}},
        "batch_size": {"type": "int", "low": 16, "high": 64, "log": True},
        "model.hidden.0": {"type": "int", "low": 8, "high": 16},
    },
    "training": {
        "dataset": {"name": "digits", "validation_fraction": 0.2},
        "model": {"name": "mlp", "activation": "relu"},
        "schedule": {"name": "step", "gamma": 0.5},
        "early_stopping": {"patience": 3},
        "dropout": [0.1],
    },
    "sampler": {"name": "tpe", "seed": 0},
    "pruner": {"name": "patient", "patience": 1, "wrapped_pruner": {"name": "median"}},
    "timeout_seconds": 60.0,
    "target_value": 0.99,
    "patience": {"trials": 5, "min_delta": 0.001},
    "max_total_epochs": 1000,
    "max_device_hours": 0.5,
    "max_attempts": 2,
    "enqueue": [{"learning_rate": 0.01}],
}


@pytest.fixture(scope="module")
def fuzzed(each_service: Service) -> Service:
    print(f"NARROWS_FUZZ_SEED={SEED}")
    return each_service


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (holder, key) of a JSON tree."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else []
    return [place for key in keys for place in ((tree, key), *places(tree[key]))]


@st.composite
def mutated(draw: st.DrawFn, body: Json) -> Json:
    """The body with one to three fields replaced, dropped or put in."""
    body = copy.deepcopy(body)
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(places(body) or [(body, "x")]))
        match draw(st.sampled_from(["replace", "replace", "drop", "insert"])):
            case "replace":
                holder[key] = draw(values)
            case "drop":
                if isinstance(holder, list) or key in holder:
                    del holder[key]
            case "insert" if isinstance(holder, dict):
                holder[draw(strings | words)] = draw(values)
            case "insert":
                holder.insert(0, draw(values))
    return body


def send(service: Service, path: str, body: Any) -> Any:
    headers = {"content-type": "application/json"}
    response = service.http.post(path, content=json.dumps(body), headers=headers)
    note(f"NARROWS_FUZZ_SEED={SEED}: {json.dumps(body)[:2000]}")
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        problem_of(response, response.status_code)
    return response


@seed(SEED)
@bounded
@given(body=mutated(DEFINITION))
def test_a_mutated_definition_is_refused_or_runs(fuzzed: Service, body: Json) -> None:
    name = f"fuzz-{secrets.token_hex(8)}"
    if body.get("name") == DEFINITION["name"]:
        body["name"] = name

    response = send(fuzzed, "/v1/studies", body)

    assert response.status_code in (201, 409, 422)
    if response.status_code == 201:
        created = response.json()["name"]
        assert send(fuzzed, "/v1/studies", body).status_code == 200
        for lease in fuzzed.claim(created, max_trials=2):
            fuzzed.report(lease, 0, 0.5)
            fuzzed.complete(lease, 0.5, values=[0.5] * len(body.get("objectives", [1])))
        assert fuzzed.http.delete(f"/v1/studies/{created}").status_code == 204


@pytest.fixture(scope="module")
def lease(fuzzed: Service) -> Json:
    return fuzzed.claim_one(fuzzed.create(n_trials=1_000_000))


WORKER_CALLS: dict[str, tuple[str, Json]] = {
    "claim": (
        "/v1/claims",
        {
            "claim_id": "c",
            "worker": {"id": "w", "host": "h", "device": "d", "n_lanes": 2},
            "max_trials": 1,
            "study": "no-such-study",
            "wait_seconds": 0,
        },
    ),
    "report": (
        "/v1/reports",
        {
            "reports": [
                {"lease_id": "LEASE", "step": 0, "metrics": {"validation_accuracy": 0.5, "train_loss": "nan"}},
                {"lease_id": "LEASE", "step": 1, "metrics": {"validation_accuracy": 0.5}},
            ]
        },
    ),
    "complete": ("/v1/leases/no-such-lease/complete", {"metrics": {"validation_accuracy": 0.5}, "values": [0.5]}),
    "fail": ("/v1/leases/no-such-lease/fail", {"reason": "it broke", "retry": True}),
    "renew": ("/v1/leases/renew", {"lease_ids": ["LEASE", "no-such-lease"]}),
}


@pytest.mark.parametrize("call", WORKER_CALLS)
@seed(SEED)
@settings(bounded, max_examples=EXAMPLES // 5)
@given(data=st.data())
def test_a_mutated_worker_call_is_refused_or_answered(
    fuzzed: Service, lease: Json, call: str, data: st.DataObject
) -> None:
    path, body = WORKER_CALLS[call]
    text = json.dumps(data.draw(mutated(body))).replace("LEASE", lease["lease_id"])
    changed = json.loads(text)
    if call == "claim" and not isinstance(changed.get("wait_seconds"), str | dict | list | None):
        changed["wait_seconds"] = min(changed["wait_seconds"], 0)

    assert send(fuzzed, path, changed).status_code in (200, 404, 409, 422)
