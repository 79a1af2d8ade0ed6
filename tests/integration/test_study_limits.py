"""Studies end when their trials have trained max_total_epochs epochs, or used max_device_hours, altogether."""

from typing import Any

import pytest

from tests.integration.service_driver import Json, Service, code_of, definition, errors_of

HOUR = 3600


def used(service: Service, name: str) -> tuple[Any, Any]:
    study = service.study(name)
    return study["epochs_trained"], study["device_hours"]


def test_a_study_without_limits_counts_nothing(service: Service) -> None:
    name = service.create()
    service.run(name)
    assert used(service, name) == (None, None)


def test_a_study_ends_when_its_trials_have_trained_enough(each_service: Service) -> None:
    name = each_service.create(max_total_epochs=4, n_trials=10, pruner="none")
    first, second = each_service.claim(name, max_trials=2)
    assert each_service.report(first, 0) == each_service.report(second, 0) == "continue"
    assert each_service.report(first, 1) == each_service.report(first, 1) == "continue"
    assert used(each_service, name) == (3, None)
    each_service.restart()
    assert used(each_service, name) == (3, None)
    assert each_service.report(first, 2) == "continue"

    assert each_service.claim(name) == [], "no trial starts after the end"
    assert each_service.report(second, 1) == "stop"
    assert each_service.complete(first) == "COMPLETE", "it had trained to its end"

    study = each_service.study(name)
    reason = "its trials have trained 5 epochs (max_total_epochs 4)"
    assert (study["state"], study["finished_reason"], study["epochs_trained"]) == ("finished", reason, 5)
    assert each_service.trial(name, 1)["reason"] == "stopped: its trials have trained 5 epochs (max_total_epochs 4)"
    each_service.restart()
    assert used(each_service, name) == (5, None)


def test_an_epoch_that_is_trained_again_counts_once(sqlite_service: Service) -> None:
    service = sqlite_service
    name = service.create(max_total_epochs=20, n_trials=10, pruner="none")
    lease = service.claim_one(name)
    for step in range(3):
        service.report(lease, step)
    service.upload(lease, "checkpoint", b"state", 1)
    service.fail(lease, retry=True)
    assert used(service, name) == (2, None)
    lease = service.claim_one(name)
    service.restart()
    service.report(lease, 1)
    service.report(lease, 2)
    assert used(service, name) == (3, None)

    service.complete(lease)
    service.restart()
    assert used(service, name) == (3, None)


@pytest.mark.parametrize(("devices", "hours"), [(None, 0.04), (2, 0.08), (0.5, 0.02)])
def test_device_hours_count_the_devices_of_all_attempts(
    sqlite_service: Service, devices: float | None, hours: float
) -> None:
    service = sqlite_service
    training: Json = {"entrypoint": "mypkg:train", "devices": devices}
    changes = {} if devices is None else {"training": training, "pruner": "none"}
    worker = {"allow": ["mypkg"]} if devices is not None else {}
    name = service.create(max_device_hours=100, n_trials=10, max_attempts=1, **changes)
    info = {"id": "worker", "n_devices": 2 if devices == 2 else 1}

    def claim() -> Json:
        body = {"claim_id": f"claim-{next(service._claims)}", "worker": info, "study": name, "max_trials": 1}
        response = service.http.post("/v1/claims", json={**body, **worker})
        (lease,) = response.json()["leases"]
        found: Json = lease
        return found

    lease = claim()
    service.clock.advance(HOUR / 100)
    service.fail(lease)
    claim()
    service.clock.advance(HOUR / 50)
    service.tick()  # nobody has heard of the worker
    assert service.counts(name) == {"FAIL": 2}
    claim()
    service.clock.advance(HOUR / 100)

    assert used(service, name) == (None, hours)
    service.restart()
    assert used(service, name) == (None, hours)


def test_a_study_ends_when_its_device_hours_are_used(each_service: Service) -> None:
    name = each_service.create(max_device_hours=0.02, n_trials=10, pruner="none")
    lease, other = each_service.claim(name, worker="a") + each_service.claim(name, worker="b")
    each_service.clock.advance(20)
    assert each_service.report(lease, 0) == each_service.report(other, 0) == "continue"
    each_service.clock.advance(16)

    assert each_service.report(lease, 1) == "stop"
    assert each_service.report(other, 1) == "stop"

    study = each_service.study(name)
    reason = "its trials have used 0.02 device hours (max_device_hours 0.02)"
    assert (study["state"], study["finished_reason"], study["device_hours"]) == ("finished", reason, 0.02)


def test_a_raised_limit_lets_a_study_go_on(each_service: Service) -> None:
    name = each_service.create(max_total_epochs=2, n_trials=10, pruner="none")
    each_service.run(name, 2)
    assert each_service.study(name)["state"] == "finished"
    assert code_of(each_service.http.patch(f"/v1/studies/{name}", json={"n_trials": 20}), 409) == "state_conflict"

    changed = each_service.change(name, max_total_epochs=3)

    assert (changed["state"], changed["finished_reason"]) == ("running", None)
    assert changed["definition"]["max_total_epochs"] == 3
    each_service.restart()
    assert each_service.study(name)["definition"]["max_total_epochs"] == 3
    each_service.run(name)
    reason = "its trials have trained 3 epochs (max_total_epochs 3)"
    assert each_service.study(name)["finished_reason"] == reason


def test_a_study_with_a_raised_limit_is_the_same_study(service: Service) -> None:
    wanted = definition(max_total_epochs=2, max_device_hours=1.0)
    name = wanted["name"]
    assert service.http.post("/v1/studies", json=wanted).status_code == 201
    service.change(name, max_total_epochs=3, n_trials=wanted["n_trials"] + 1)

    for limit, status in ((2, 200), (3, 200), (4, 409)):
        assert service.http.post("/v1/studies", json={**wanted, "max_total_epochs": limit}).status_code == status


def test_limits_that_cannot_be_raised(service: Service) -> None:
    name = service.create(max_total_epochs=2, n_trials=2, pruner="none")

    def refused(**change: Any) -> dict[str, str]:
        return errors_of(service.http.patch(f"/v1/studies/{name}", json=change))

    assert refused(max_total_epochs=2) == {"max_total_epochs": "max_total_epochs must be larger than before: 2 <= 2"}
    assert refused(max_device_hours=2) == {
        "max_device_hours": f"max_device_hours cannot be raised: study {name} has no such limit"
    }
    service.run(name, 2)
    answer = service.http.patch(f"/v1/studies/{name}", json={"max_total_epochs": 9})
    assert code_of(answer, 409) == "state_conflict"
    assert answer.json()["detail"] == f"study {name} has no trial left to run: extend n_trials"
    assert service.study(name)["definition"]["max_total_epochs"] == 2


def test_paused_trials_end_with_the_limit(sqlite_service: Service) -> None:
    pruner = {"name": "successive_halving", "min_resource": 1, "reduction_factor": 2, "promote": True}
    service = sqlite_service
    name = service.create(max_total_epochs=3, n_trials=10, pruner=pruner)
    paused = service.claim_one(name)
    assert service.report(paused, 0, 0.5) == "pause"
    service.upload(paused, "checkpoint", b"state", 0)
    service.pause(paused)
    service.restart()
    service.run(name, 1, 0.9)
    assert used(service, name) == (2, None)
    service.run(name, 1, 0.9)

    assert service.study(name)["state"] == "finished"
    assert service.counts(name) == {"PRUNED": 1, "COMPLETE": 2}
