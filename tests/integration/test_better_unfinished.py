"""A pruned or paused trial that was better than every complete one, in the answer with the best trials."""

from tests.integration.promotion_driver import create, pause
from tests.integration.service_driver import Json, Service


def better(service: Service, name: str) -> int | None:
    response = service.http.get(f"/v1/studies/{name}/best?k=1")
    assert response.status_code == 200, response.text
    found: Json | None = response.json()["better_unfinished"]
    return None if found is None else int(found["number"])


def test_a_paused_trial_is_better_until_a_complete_one_is_as_good(each_service: Service) -> None:
    service = each_service
    name = create(service, n_trials=5)
    assert better(service, name) is None
    first, second, third = service.claim(name, max_trials=3)
    pause(service, first, 0, 0.5)
    assert better(service, name) == first["trial_number"], "no trial is complete"
    service.complete(second, 0.4)
    assert better(service, name) == first["trial_number"]
    service.complete(third, 0.5)
    assert better(service, name) is None


def test_a_pruned_trial_is_better_by_its_last_value(service: Service) -> None:
    name = create(service, n_trials=3)
    leases = service.claim(name, max_trials=3)
    pause(service, leases[0], 0, 0.7)
    pause(service, leases[1], 0, 0.6)
    service.complete(leases[2], 0.65)
    service.change(name, state="stopped")
    assert service.counts(name) == {"COMPLETE": 1, "PRUNED": 2}
    assert better(service, name) == leases[0]["trial_number"]


def test_smaller_is_better_for_an_objective_to_minimize(service: Service) -> None:
    objectives = [{"metric": "validation_loss", "direction": "minimize"}]
    name = create(service, n_trials=3, objectives=objectives)
    leases = service.claim(name, max_trials=3)
    for lease, loss in zip(leases[:2], (0.3, 0.2), strict=True):
        service.report(lease, 0, validation_loss=loss)
        service.upload(lease, "checkpoint", b"state", 0)
    service.complete(leases[2], metrics={"validation_loss": 0.25})
    assert service.pause(leases[0]) == "WAITING"
    assert better(service, name) is None, "0.3 is worse, and the other one is running"


def test_a_trial_that_violates_a_constraint_is_not_better(service: Service) -> None:
    name = create(service, n_trials=3, constraints=[{"metric": "seconds", "max": 1.0}])
    leases = service.claim(name, max_trials=3)
    pause(service, leases[0], 0, 0.9, seconds=2.0)
    pause(service, leases[1], 0, 0.5, seconds=0.5)
    assert better(service, name) == leases[1]["trial_number"]


def test_a_pareto_front_has_none(service: Service) -> None:
    objectives = [
        {"metric": "validation_accuracy", "direction": "maximize"},
        {"metric": "validation_loss", "direction": "minimize"},
    ]
    name = create(service, objectives=objectives)
    pause(service, service.claim_one(name), 0, 0.5, validation_loss=1.0)
    assert service.http.get(f"/v1/studies/{name}/pareto").json()["better_unfinished"] is None
