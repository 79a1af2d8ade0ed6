"""A worker of a newer version sends fields that the service does not know."""

import secrets

from service.schemas.worker_seconds import WorkerSeconds
from tests.integration.service_driver import Json, Service

NEW: Json = {"new_in_the_next_version": {"a": [1]}}


def post(service: Service, path: str, body: Json) -> Json:
    response = service.http.post(f"/v1{path}", json={**body, **NEW})
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


def test_calls_of_a_newer_worker_are_answered(service: Service) -> None:
    name = service.create(n_trials=2)
    seconds = {**dict.fromkeys(WorkerSeconds.model_fields, 1.0), **NEW}
    worker = {"id": "newer", "seconds": seconds, **NEW}

    def claim() -> str:
        body = {"claim_id": secrets.token_hex(8), "worker": worker, "study": name}
        (lease,) = post(service, "/claims", body)["leases"]
        return str(lease["lease_id"])

    first, second = claim(), claim()
    item = {"lease_id": first, "step": 0, "metrics": {"validation_accuracy": 0.5}, **NEW}
    assert [one["decision"] for one in post(service, "/reports", {"reports": [item]})["decisions"]] == ["continue"]
    assert [one["alive"] for one in post(service, "/leases/renew", {"lease_ids": [first]})["leases"]] == [True]
    post(service, f"/leases/{first}/user-attrs", {"user_attrs": {"a": 1}})
    post(service, f"/leases/{first}/constraints", {"constraints": {"a": -1.0}})
    post(service, f"/leases/{first}/complete", {"metrics": {"validation_accuracy": 0.5}})
    post(service, f"/leases/{second}/fail", {"reason": "it broke", "retry": False})
    states = [trial["state"] for trial in service.http.get(f"/v1/studies/{name}/trials").json()["trials"]]
    assert states == ["COMPLETE", "FAIL"]


def test_what_people_write_must_have_known_fields(service: Service) -> None:
    name = service.create()
    refused = service.http.patch(f"/v1/studies/{name}", json={"state": "paused", **NEW})
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == list(NEW)
