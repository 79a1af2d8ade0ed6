"""What tests of the final evaluation do over HTTP."""

from typing import Any

from tests.integration.service_driver import Json, Service

SCORE: Json = {"test_loss": 0.2, "test_accuracy": 0.95, "n_test_images": 1000}


def searched(service: Service, values: tuple[float, ...] = (0.5, 0.9, 0.8), **changes: Any) -> str:
    """A finished study whose trials have these values."""
    name = service.create(n_trials=len(values), **changes)
    for value in values:
        service.run(name, value=value)
    return name


def post(service: Service, name: str, **wanted: Any) -> Any:
    return service.http.post(f"/v1/studies/{name}/final", json=wanted)


def begin(service: Service, name: str, **wanted: Any) -> Json:
    response = post(service, name, **wanted)
    assert response.status_code == 201, response.text
    final: Json = response.json()
    return final


def final_of(service: Service, name: str) -> Json:
    return service.get(f"/studies/{name}/final")


def complete(service: Service, lease: Json, value: float = 0.9, **metrics: Any) -> Any:
    body = {"metrics": {"validation_accuracy": value, **metrics}}
    return service.http.post(f"/v1/leases/{lease['lease_id']}/complete", json=body)


def confirm(service: Service, name: str, values: dict[int, list[float]]) -> None:
    """Train every confirmation: the candidates' trial numbers with the value of each seed."""
    linked = final_of(service, name)["linked_study"]
    for value in [value for seeds in values.values() for value in seeds]:
        lease = service.claim_one(linked)
        assert (lease["test"], lease["train_on_validation"]) == (False, False)
        service.complete(lease, value)


def evaluated(service: Service, name: str, **wanted: Any) -> Json:
    """A whole final evaluation of the two best trials, and its record."""
    begin(service, name, top_k=2, n_seeds=2, **wanted)
    confirm(service, name, {1: [0.86, 0.88], 2: [0.91, 0.93]})
    lease = service.claim_one(final_of(service, name)["linked_study"])
    assert lease["test"]
    assert complete(service, lease, **SCORE).status_code == 200
    return final_of(service, name)
