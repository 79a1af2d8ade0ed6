"""What tests of users' own code do over HTTP."""

from typing import Any

from tests.integration.service_driver import Json, Service

ENTRYPOINT = "mypkg.train:objective"
RATE: Json = {"type": "float", "low": 1e-5, "high": 1e-1, "log": True}


def create(service: Service, **changes: Any) -> str:
    training = {"entrypoint": ENTRYPOINT, **changes.pop("training", {})}
    return service.create(**{"search_space": {}, "training": training, "sampler": "tpe", **changes})


def claim(service: Service, study: str | None, *allow: str, **more: Any) -> list[Json]:
    return service.claim(study, allow=list(allow), **more)


def lease_of(service: Service, study: str) -> Json:
    (lease,) = claim(service, study, "mypkg")
    return lease


def ask(service: Service, lease: Json, name: str, distribution: Json) -> Any:
    url = f"/v1/leases/{lease['lease_id']}/suggest"
    return service.http.post(url, json={"name": name, "distribution": distribution})


def value_of(service: Service, lease: Json, name: str, distribution: Json) -> Any:
    response = ask(service, lease, name, distribution)
    assert response.status_code == 200, response.text
    return response.json()["value"]
