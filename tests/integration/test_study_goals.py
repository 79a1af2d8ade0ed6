"""Studies end when their time is up or their target is reached."""

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
