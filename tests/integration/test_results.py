"""What comes out of a study: best trials, the front of several objectives, importances."""

import math
from typing import Any

import pytest

from tests.integration.service_driver import (
    Json,
    Service,
    code_of,
)


def test_best_and_its_place_in_the_study(service: Service) -> None:
    name = service.create(n_trials=4)
    for value in (0.7, 0.9, 0.8, 0.9):
        service.run(name, 1, value)

    best = service.get(f"/studies/{name}/best", k=3)["trials"]

    assert [trial["number"] for trial in best] == [1, 3, 2]
    assert service.study(name)["best"] == best[0]
    assert best[0]["values"] == [0.9]
    assert best[0]["metrics"] == {"validation_accuracy": 0.9}


def test_trials_per_hour_counts_from_the_first_trial(service: Service) -> None:
    name = service.create(n_trials=10)
    service.clock.advance(5000)
    lease = service.claim_one(name)
    service.clock.advance(30)
    service.complete(lease)
    service.clock.advance(6)

    assert service.study(name)["trials_per_hour"] == pytest.approx(100.0)


def test_several_objectives_have_a_front_and_no_best(each_service: Service) -> None:
    name = each_service.create(
        n_trials=4,
        objectives=[
            {"metric": "validation_accuracy", "direction": "maximize"},
            {"metric": "n_parameters", "direction": "minimize"},
        ],
        pruner="none",
    )
    for accuracy, size in ((0.9, 100), (0.8, 50), (0.85, 200), (0.95, 400)):
        lease = each_service.claim_one(name)
        assert each_service.report(lease, 0, accuracy) == "continue"
        assert each_service.complete(lease, accuracy, metrics={"n_parameters": size}) == "COMPLETE"

    front = each_service.get(f"/studies/{name}/pareto")["trials"]

    assert [trial["values"] for trial in front] == [[0.95, 400.0], [0.9, 100.0], [0.8, 50.0]]
    assert each_service.study(name)["best"] is None
    assert code_of(each_service.http.get(f"/v1/studies/{name}/best"), 409) == "state_conflict"


def test_the_front_of_one_objective_is_its_best_trial(service: Service) -> None:
    name = service.create(n_trials=2)
    service.run(name, 1, 0.5)
    service.run(name, 1, 0.6)

    assert [trial["number"] for trial in service.get(f"/studies/{name}/pareto")["trials"]] == [1]


@pytest.mark.parametrize("path", ["best", "pareto", "importance"])
def test_nothing_comes_out_of_a_study_without_results(service: Service, path: str) -> None:
    answer = service.get(f"/studies/{service.create()}/{path}")

    nothing: Json = {"trials": [], "note": None, "better_unfinished": None}
    assert answer in (nothing, {"metric": "validation_accuracy", "importances": {}, "note": None})


def test_importance_finds_the_parameter_that_matters(service: Service) -> None:
    name = service.create(
        n_trials=12,
        search_space={
            "learning_rate": {"type": "float", "low": 0.01, "high": 1.0},
            "momentum": {"type": "float", "low": 0.0, "high": 0.9},
        },
    )
    for _ in range(12):
        lease = service.claim_one(name)
        service.complete(lease, lease["params"]["learning_rate"])

    answer = service.get(f"/studies/{name}/importance")

    assert list(answer["importances"]) == ["learning_rate", "momentum"]
    assert sum(answer["importances"].values()) == pytest.approx(1.0)


@pytest.mark.parametrize("values", [[0.5, "inf"], ["inf", "-inf"], [0.5, 0.5], [0.5, 0.6, "inf"]])
def test_importance_of_values_that_say_little_is_no_error(service: Service, values: list[Any]) -> None:
    name = service.create(n_trials=len(values))
    for value in values:
        service.complete(service.claim_one(name), value)

    assert service.http.get(f"/v1/studies/{name}/importance").status_code == 200


def ask(service: Service, lease: Json, name: str, low: float, high: float, **more: Any) -> float:
    kind = {"type": "float", "low": low, "high": high, **more}
    response = service.http.post(f"/v1/leases/{lease['lease_id']}/suggest", json={"name": name, "distribution": kind})
    value: float = response.json()["value"]
    return value


@pytest.mark.parametrize("sign", [1, -1], ids=["minimize", "maximize"])
def test_a_parameter_whose_range_depends_on_another_one_has_its_share(service: Service, sign: int) -> None:
    direction = "minimize" if sign == 1 else "maximize"
    name = service.create(
        n_trials=60,
        search_space={},
        objectives=[{"metric": "loss", "direction": direction}],
        training={"entrypoint": "mine.train:f"},
    )
    for number in range(60):
        (lease,) = service.claim(name, allow=["mine"])
        a = ask(service, lease, "a", 0, 1)
        b = ask(service, lease, "b", a, 2)
        if number % 2:
            ask(service, lease, "rare", 0, 1)
        value = "inf" if number == 7 else sign * (abs(b - 1.5) + 0.001 * a)
        service.complete(lease, metrics={}, values=[value])

    answer = service.get(f"/studies/{name}/importance")

    assert answer["importances"]["b"] > 0.9
    assert set(answer["importances"]) == {"a", "b"}
    assert answer["note"] == (
        "no share of rare: not every complete trial has it; "
        "ranges differ between trials: the shares are of fANOVA over the widest ranges"
    )


def test_missing_values_come_after_infinite_ones(service: Service) -> None:
    name = service.create(n_trials=5, objectives=[{"metric": "validation_loss", "direction": "minimize"}])
    for value in ("inf", 0.5, "-inf"):
        service.complete(service.claim_one(name), metrics={"validation_loss": value})
    service.fail(service.claim_one(name))
    service.claim_one(name)
    for order, numbers in (("value", [2, 1, 0, 3, 4]), ("-value", [0, 1, 2, 4, 3])):
        found: list[int] = []
        cursor: str | None = None
        while cursor is not None or not found:
            query = {"order_by": order, "limit": 1, **({} if cursor is None else {"cursor": cursor})}
            page = service.get(f"/studies/{name}/trials", **query)
            found += [trial["number"] for trial in page["trials"]]
            cursor = page["next_cursor"]
        assert found == numbers, order


def test_gp_leaves_a_parameter_with_too_many_values_to_chance_and_says_so(service: Service) -> None:
    name = service.create(
        n_trials=6,
        search_space={
            "learning_rate": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
            "anything": {"type": "int", "low": 0, "high": 2**32 - 1},
        },
        objectives=[{"metric": "loss", "direction": "minimize"}],
        training={"entrypoint": "mine.train:f"},
        sampler={"name": "gp", "seed": 0, "n_startup_trials": 3},
    )
    note = "gp samples anything at random: it takes parameters of at most 1,000,000 values"
    for _ in range(6):
        (lease,) = service.claim(name, allow=["mine"])
        service.complete(lease, metrics={}, values=[abs(math.log10(lease["params"]["learning_rate"]) + 3)])
    assert service.study(name)["sampler_note"] == note


@pytest.mark.parametrize("more", [{"type": "int", "step": 2}, {"step": 0.25}], ids=["int", "float"])
def test_importance_of_steps_that_no_range_has_in_common_is_no_error(service: Service, more: Json) -> None:
    objective = {"metric": "loss", "direction": "minimize"}
    name = service.create(n_trials=4, search_space={}, objectives=[objective], training={"entrypoint": "mine.train:f"})
    for number in range(4):
        (lease,) = service.claim(name, allow=["mine"])
        low = number % 2 if "type" in more else 0.1 * (number % 2)
        value = ask(service, lease, "n", low, low + 4, **more) + ask(service, lease, "other", 0, 1 + number)
        service.complete(lease, metrics={}, values=[value])

    answer = service.get(f"/studies/{name}/importance")

    assert list(answer["importances"]) == ["other"]
    assert answer["note"].startswith("no share of n: its type, scale, steps or choices differ between trials")


def test_importance_with_conditional_parameters_is_no_error(service: Service) -> None:
    name = service.create(
        n_trials=6,
        search_space={
            "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
            "momentum": {"type": "float", "low": 0.0, "high": 0.9, "when": {"optimizer": ["sgd"]}},
        },
    )
    for index in range(6):
        service.complete(service.claim_one(name), index / 10)

    assert set(service.get(f"/studies/{name}/importance")["importances"]) <= {"optimizer", "momentum"}
