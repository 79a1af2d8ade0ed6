"""Trials that violate a constraint are no result: not for samplers, not for users, not for a final evaluation."""

import csv
import logging
from typing import Any

import optuna
import pytest

from tests.integration.service_driver import Json, Service, code_of, errors_of, problem_of

SMALL: list[Json] = [{"metric": "n_parameters", "max": 100}]
BOUND = "n_parameters <= 100"
TWO = [
    {"metric": "validation_accuracy", "direction": "maximize"},
    {"metric": "validation_loss", "direction": "minimize"},
]


def complete(service: Service, name: str, value: float, n_parameters: Any, **more: Any) -> Json:
    lease = service.claim_one(name)
    service.complete(lease, metrics={"validation_accuracy": value, "n_parameters": n_parameters, **more})
    return lease


def test_the_best_trial_keeps_its_constraints_also_after_a_restart(fresh_service: Service) -> None:
    service = fresh_service
    name = service.create(n_trials=4, constraints=[*SMALL, {"metric": "seconds", "min": 1.0, "max": 2.0}])
    for value, n_parameters, seconds in ((0.7, 100, 1.5), (0.9, 101, 1.5), (0.8, 50, 0.5)):
        complete(service, name, value, n_parameters, seconds=seconds)

    for _ in range(2):
        assert service.study(name)["best"]["number"] == 0
        assert [trial["number"] for trial in service.get(f"/studies/{name}/best")["trials"]] == [0]
        kept, large, quick = service.trials(name)
        assert kept["violated"] == []
        assert kept["constraints"] == {BOUND: 0.0, "seconds <= 2": -0.5, "seconds >= 1": -0.5}
        assert (large["state"], large["violated"], large["constraints"][BOUND]) == ("COMPLETE", [BOUND], 1.0)
        assert quick["violated"] == ["seconds >= 1"]
        service.restart()

    storage = optuna.storages.RDBStorage(service.url)
    assert optuna.load_study(study_name=name, storage=storage).best_trial.number == 0, "a stock reader says the same"
    storage.remove_session()
    storage.engine.dispose()


def test_a_study_without_a_feasible_trial_says_so(service: Service) -> None:
    name = service.create(n_trials=2, constraints=SMALL)
    for value in (0.5, 0.6):
        complete(service, name, value, 1000)

    assert service.study(name)["best"] is None
    note = "none of 2 complete trials satisfies every constraint"
    answer: dict[str, object] = {"trials": [], "note": note, "better_unfinished": None}
    assert service.get(f"/studies/{name}/best") == answer
    problem = problem_of(service.http.post(f"/v1/studies/{name}/final", json={}), 409)
    assert "no feasible trial" in problem["detail"]
    assert note in problem["detail"]


def test_the_front_holds_feasible_trials_alone(service: Service) -> None:
    name = service.create(n_trials=3, constraints=SMALL, objectives=TWO)
    complete(service, name, 0.5, 10, validation_loss=0.5)
    complete(service, name, 0.9, 1000, validation_loss=0.1)

    assert [trial["number"] for trial in service.get(f"/studies/{name}/pareto")["trials"]] == [0]


def test_a_final_evaluation_confirms_feasible_trials_and_looks_at_constraints_again(service: Service) -> None:
    name = service.create(n_trials=2, constraints=SMALL)
    complete(service, name, 0.9, 1000)
    feasible = complete(service, name, 0.5, 10)

    response = service.http.post(f"/v1/studies/{name}/final", json={"top_k": 2, "n_seeds": 1})

    assert response.status_code == 201, response.text
    (trial,) = service.trials(f"{name}.final")
    assert trial["params"] == feasible["params"]
    complete(service, f"{name}.final", 0.5, 1000)
    final = service.get(f"/studies/{name}/final")
    assert final["state"] == "failed"
    assert final["failure"].endswith(f"trial 1 violates {BOUND}")


def test_an_infeasible_trial_does_not_reach_the_target(fresh_service: Service) -> None:
    name = fresh_service.create(n_trials=9, constraints=SMALL, target_value=0.8)
    complete(fresh_service, name, 0.9, 1000)
    fresh_service.restart()
    assert fresh_service.study(name)["state"] == "running"
    complete(fresh_service, name, 0.85, 10)

    assert fresh_service.study(name)["finished_reason"] == "trial 1 reached target_value 0.8"


def test_a_trial_without_a_constrained_metric_fails(service: Service) -> None:
    misspelled = [{"metric": "latencey", "max": 1}]
    name = service.create(
        n_trials=1, constraints=misspelled, training={"entrypoint": "mine:objective"}, search_space={}
    )
    (lease,) = service.claim(name, allow=["mine"])
    service.report(lease, 0, 0.5, latency=5.0)
    for _ in range(2):  # the same again is answered as before
        service.complete(lease, metrics={"validation_accuracy": 0.9, "latency": 5.0})

    trial = service.trial(name, 0)
    expected = "latencey has a constraint and must be reported or returned: it was not"
    assert (trial["state"], trial["reason"]) == ("FAIL", expected)
    assert service.study(name)["best"] is None


def test_the_last_report_may_tell_of_a_constraint(service: Service) -> None:
    name = service.create(n_trials=2, constraints=[{"metric": "seconds", "max": 2}])
    for seconds in (1.5, "nan"):
        lease = service.claim_one(name)
        service.report(lease, 0, 0.5, seconds=seconds)
        service.complete(lease, 0.9)

    kept, unknown = service.trials(name)
    assert (kept["state"], kept["constraints"]) == ("COMPLETE", {"seconds <= 2": -0.5})
    assert (unknown["state"], unknown["reason"]) == ("FAIL", "seconds is nan")


def test_nan_of_a_constraint_fails_the_trial(service: Service) -> None:
    name = service.create(n_trials=1, constraints=SMALL)
    complete(service, name, 0.9, "nan")

    trial = service.trial(name, 0)
    assert (trial["state"], trial["reason"]) == ("FAIL", "n_parameters is nan")


def test_a_pruned_trial_has_the_constraints_that_its_last_report_tells_of(service: Service) -> None:
    pruner = {"name": "threshold", "lower": 0.5}
    name = service.create(n_trials=1, constraints=[*SMALL, {"metric": "seconds", "max": 2}], pruner=pruner)
    lease = service.claim_one(name)

    assert service.report(lease, 0, 0.1, seconds=5.0) == "prune"
    assert service.trial(name, 0)["violated"] == ["seconds <= 2"]


ANY_NUMBER = ["tpe", "gp", "nsgaii", "nsgaiii", "random", "qmc"]


@pytest.mark.parametrize(
    ("sampler", "n_objectives"), [*((name, n) for name in ANY_NUMBER for n in (1, 2)), ("cmaes", 1)]
)
def test_samplers_run_with_constraints(
    service: Service, sampler: str, n_objectives: int, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"population_size": 2} if "nsga" in sampler else {}
    options |= {"n_startup_trials": 2} if sampler in ("tpe", "gp") else {}
    wanted = {"name": sampler, "seed": 0, **options}
    name = service.create(n_trials=8, sampler=wanted, objectives=TWO[:n_objectives], constraints=SMALL)
    for index in range(8):
        complete(service, name, index / 10, 60 * (index % 4), validation_loss=0.5)

    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_sampler_learns_to_keep_a_constraint(service: Service) -> None:
    """The objective grows with x, and the constraint forbids the upper half."""
    space = {"learning_rate": {"type": "float", "low": 0.001, "high": 1.0}}
    shares = []
    for constraints in ([], [{"metric": "n_parameters", "max": 500}]):
        sampler = {"name": "tpe", "seed": 0, "n_startup_trials": 10}
        name = service.create(n_trials=40, sampler=sampler, search_space=space, constraints=constraints)
        for _ in range(40):
            lease = service.claim_one(name)
            x = lease["params"]["learning_rate"]
            service.complete(lease, metrics={"validation_accuracy": x, "n_parameters": 1000 * x})
        later = [trial["params"]["learning_rate"] for trial in service.trials(name)][10:]
        shares.append(sum(x <= 0.5 for x in later) / len(later))
    assert shares[1] > shares[0] + 0.3, shares


def test_an_entrypoint_sets_constraints_of_its_own(each_service: Service) -> None:
    service = each_service
    name = service.create(n_trials=2, training={"entrypoint": "mine:objective"}, search_space={})
    for value, distance in ((0.9, 3.0), (0.5, "-inf")):
        (lease,) = service.claim(name, allow=["mine"])
        url = f"/v1/leases/{lease['lease_id']}/constraints"
        assert service.http.post(url, json={"constraints": {"size": 7.0}}).status_code == 200
        answer = service.http.post(url, json={"constraints": {"size": distance}})
        assert answer.json() == {"constraints": {"size": distance}}
        service.complete(lease, value)
    assert service.study(name)["best"]["number"] == 1
    assert service.trial(name, 0)["violated"] == ["size"]
    assert code_of(service.http.post(url, json={"constraints": {"size": 1.0}}), 409) == "lease_closed"


@pytest.mark.parametrize("body", [{"size": "nan"}, {}, {"size": "x"}, {"": 1.0}])
def test_what_is_no_constraint_value_is_refused(service: Service, body: Json) -> None:
    lease = service.claim_one(service.create())
    errors = errors_of(service.http.post(f"/v1/leases/{lease['lease_id']}/constraints", json={"constraints": body}))
    assert all(field.startswith("constraints") for field in errors)


def test_the_export_has_a_column_for_each_constraint(service: Service) -> None:
    name = service.create(n_trials=1, constraints=SMALL)
    complete(service, name, 0.9, 1000)

    (row,) = csv.DictReader(service.http.get(f"/v1/studies/{name}/export").text.splitlines())

    assert row[f"constraints_{BOUND}"] == "900.0"


# From which report, when a trial goes on


def promoting(service: Service) -> str:
    pruner = {"name": "successive_halving", "min_resource": 1, "reduction_factor": 2, "promote": True}
    training = {"dataset": "digits", "model": "mlp", "epochs": 4}
    constraints = [{"metric": "n_parameters", "max": 10.0}]
    return service.create(n_trials=4, pruner=pruner, training=training, constraints=constraints)


def test_a_pause_takes_constraints_from_the_last_report_that_is_kept(each_service: Service) -> None:
    service = each_service
    name = promoting(service)
    lease = service.claim_one(name)
    assert service.report(lease, 0, 0.5, n_parameters=5.0) == "pause"
    service.upload(lease, "checkpoint", b"state after 0", 0)
    assert service.report(lease, 1, 0.6, n_parameters=50.0) == "pause", "it is thrown away: the checkpoint is older"

    assert service.pause(lease) == "WAITING"

    paused = service.trial(name, 0)
    assert (paused["metrics"]["n_parameters"], paused["violated"], paused["step"]) == (5.0, [], 0)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_trial_that_goes_on_has_the_reports_of_its_earlier_attempt(fresh_service: Service, restarts: bool) -> None:
    service = fresh_service
    name = service.create(constraints=[{"metric": "n_parameters", "max": 10.0}])
    first = service.claim_one(name)
    service.report(first, 0, 0.5, n_parameters=50.0)
    service.upload(first, "checkpoint", b"state after 0", 0)
    service.report(first, 1, 0.6, n_parameters=5.0)
    service.release(first)
    if restarts:
        service.restart()
    again = service.claim_one(name)
    if restarts:
        service.restart()

    assert service.complete(again, 0.9) == "COMPLETE"

    assert service.trial(name, 0)["violated"] == ["n_parameters <= 10"]


def test_a_trial_that_starts_anew_has_no_earlier_reports(service: Service) -> None:
    name = service.create(constraints=[{"metric": "n_parameters", "max": 10.0}])
    first = service.claim_one(name)
    service.report(first, 0, 0.5, n_parameters=5.0)
    service.release(first)

    assert service.complete(service.claim_one(name), 0.9) == "FAIL"
    assert "n_parameters has a constraint" in service.trial(name, 0)["reason"]


def test_a_trial_is_pruned_before_its_first_report(each_service: Service) -> None:
    service = each_service
    name = service.create(constraints=[{"metric": "n_parameters", "max": 10.0}])
    lease = service.claim_one(name)
    assert service.http.post(f"/v1/leases/{lease['lease_id']}/prune").json()["state"] == "PRUNED"
    assert service.trial(name, 0)["constraints"] == {}
