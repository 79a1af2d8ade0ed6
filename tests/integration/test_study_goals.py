"""Studies end when their time is up, their target is reached, or their trials bring nothing any more."""

import pytest

from tests.integration.service_driver import (
    Service,
    code_of,
)


def test_a_study_ends_when_its_time_is_up(each_service: Service) -> None:
    name = each_service.create(timeout_seconds=100, n_trials=10)
    each_service.clock.advance(1000)  # before the first trial no time passes
    first, second = each_service.claim(name, max_trials=2)
    each_service.clock.advance(50)
    assert each_service.report(first, 0) == "continue"
    assert each_service.report(second, 0) == "continue"
    each_service.clock.advance(50)

    assert each_service.claim(name) == [], "no trial starts after the end"
    assert each_service.report(first, 1) == "stop"
    assert each_service.study(name)["state"] == "running", "a trial is still running"
    assert each_service.complete(second) == "COMPLETE"

    study = each_service.study(name)
    assert (study["state"], study["finished_reason"]) == ("finished", "timeout_seconds 100 passed")
    assert each_service.counts(name) == {"COMPLETE": 1, "FAIL": 1}
    assert each_service.trial(name, 0)["reason"] == "stopped: timeout_seconds 100 passed"


def test_a_study_out_of_time_cannot_be_extended(service: Service) -> None:
    name = service.create(timeout_seconds=100, n_trials=10)
    service.run(name)
    service.clock.advance(200)
    assert service.study(name)["state"] == "finished"

    assert code_of(service.http.patch(f"/v1/studies/{name}", json={"n_trials": 20}), 409) == "state_conflict"


@pytest.mark.parametrize(("direction", "values"), [("maximize", [0.5, 0.89, 0.9]), ("minimize", [1.0, 0.91, 0.9])])
def test_a_study_ends_when_its_target_is_reached(service: Service, direction: str, values: list[float]) -> None:
    name = service.create(
        target_value=0.9, n_trials=10, objectives=[{"metric": "validation_accuracy", "direction": direction}]
    )
    running = service.claim_one(name)
    for value in values:
        service.run(name, 1, value)

    assert service.claim(name) == []
    assert service.report(running, 0) == "stop"
    study = service.study(name)
    assert study["state"] == "finished"
    assert study["finished_reason"] == "trial 3 reached target_value 0.9"
    assert study["best"]["values"] == [0.9]


def test_a_study_that_reached_its_target_takes_no_more_trials(service: Service) -> None:
    name = service.create(target_value=0.9, n_trials=10)
    service.run(name, 1, 0.95)

    assert code_of(service.http.patch(f"/v1/studies/{name}", json={"n_trials": 20}), 409) == "state_conflict"
    enqueued = service.http.post(f"/v1/studies/{name}/trials", json={"params": {"learning_rate": 0.01}})
    assert code_of(enqueued, 409) == "state_conflict"


def test_an_infinite_value_reaches_the_target_and_nan_does_not(each_service: Service) -> None:
    name = each_service.create(target_value=0.9, n_trials=10)
    lease = each_service.claim_one(name)
    assert each_service.complete(lease, "nan") == "FAIL"
    assert each_service.study(name)["state"] == "running"

    each_service.complete(each_service.claim_one(name), "inf")

    study = each_service.study(name)
    assert study["state"] == "finished"
    assert study["best"]["values"] == ["inf"]


@pytest.mark.parametrize(("direction", "sign"), [("maximize", 1), ("minimize", -1)])
def test_a_study_ends_when_trials_bring_nothing_any_more(each_service: Service, direction: str, sign: int) -> None:
    objectives = [{"metric": "validation_accuracy", "direction": direction}]
    name = each_service.create(patience={"trials": 3, "min_delta": 0.01}, n_trials=20, objectives=objectives)
    running = each_service.claim_one(name)
    for value in (0.5, 0.4, 0.505, 0.6, 0.6, 0.61):
        each_service.run(name, 1, sign * value)
    each_service.fail(each_service.claim_one(name), retry=False)  # which does not count
    assert each_service.study(name)["state"] == "running"

    each_service.run(name, 1, sign * 0.55)

    assert each_service.claim(name) == []
    assert each_service.report(running, 0) == "stop"
    study = each_service.study(name)
    assert study["state"] == "finished"
    assert study["finished_reason"] == "none of the last 3 trials is better than trial 4 by more than 0.01 (patience)"


def test_patience_that_is_over_stays_over(service: Service) -> None:
    name = service.create(patience={"trials": 2}, n_trials=20)
    running = service.claim_one(name)
    for value in (0.5, 0.4, 0.4):
        service.run(name, 1, value)

    assert service.complete(running, 0.9) == "COMPLETE"

    study = service.study(name)
    assert study["finished_reason"] == "none of the last 2 trials is better than trial 1 (patience)"
    assert study["best"]["values"] == [0.9]
    assert code_of(service.http.patch(f"/v1/studies/{name}", json={"n_trials": 30}), 409) == "state_conflict"


def test_trials_without_a_value_count_for_patience(sqlite_service: Service) -> None:
    """Pruned ones and those that break a constraint, and they are counted again after a restart."""
    pruner = {"name": "threshold", "lower": 0.3}
    constraints = [{"metric": "n_parameters", "max": 10}]
    name = sqlite_service.create(patience={"trials": 2}, n_trials=20, pruner=pruner, constraints=constraints)
    too_large = {"validation_accuracy": 0.9, "n_parameters": 11}
    sqlite_service.complete(sqlite_service.claim_one(name), metrics=too_large)
    assert sqlite_service.study(name)["state"] == "running"

    sqlite_service.restart()
    pruned = sqlite_service.claim_one(name)
    assert sqlite_service.report(pruned, 0, 0.1) == "prune"

    assert sqlite_service.study(name)["finished_reason"] == "none of 2 trials has a value (patience)"


def test_a_paused_trial_counts_once_for_patience(sqlite_service: Service) -> None:
    pruner = {"name": "successive_halving", "min_resource": 1, "reduction_factor": 2, "promote": True}
    name = sqlite_service.create(patience={"trials": 2}, n_trials=20, pruner=pruner)
    first = sqlite_service.claim_one(name)
    assert sqlite_service.report(first, 0, 0.5) == "pause"
    sqlite_service.upload(first, "checkpoint", b"state", 0)
    sqlite_service.pause(first)
    sqlite_service.restart()
    assert sqlite_service.study(name)["state"] == "running"

    sqlite_service.complete(sqlite_service.claim_one(name), 0.9)
    for _ in range(2):
        assert sqlite_service.study(name)["state"] == "running"
        sqlite_service.complete(sqlite_service.claim_one(name), 0.1)

    assert sqlite_service.study(name)["state"] == "finished"
