"""A lease with more reports than memory keeps: repeated ones, and that of a checkpoint, come from the database."""

from typing import Any

import pytest

from service.study.open_leases import MAX_EPOCHS
from tests.integration.service_driver import LEASE_SECONDS, Json, Service, code_of

N_STEPS = MAX_EPOCHS + 100
PER_CALL = 1024
EARLY = 10


def item(lease: Json, step: int, value: float) -> Json:
    return {"lease_id": lease["lease_id"], "step": step, "metrics": {"validation_accuracy": value}}


def send(service: Service, *reports: Json) -> Any:
    return service.http.post("/v1/reports", json={"reports": list(reports)})


def report_many(service: Service, lease: Json, steps: range) -> None:
    """Report these steps, each with itself as its value."""
    for first in range(0, len(steps), PER_CALL):
        response = send(service, *(item(lease, step, step) for step in steps[first : first + PER_CALL]))
        assert {one["decision"] for one in response.json()["decisions"]} == {"continue"}, response.text


def long_lease(service: Service, steps: range = range(N_STEPS)) -> tuple[str, Json]:
    name = service.create(n_trials=1)
    lease = service.claim_one(name)
    report_many(service, lease, steps)
    return name, lease


@pytest.mark.parametrize("steps", [range(N_STEPS), range(N_STEPS - 1, -1, -1)], ids=["ascending", "descending"])
def test_early_reports_are_known_again(each_service: Service, steps: range) -> None:
    name, lease = long_lease(each_service, steps)
    early = steps[EARLY]

    assert each_service.report(lease, early, early) == "continue"
    assert code_of(send(each_service, item(lease, early, 0.5)), 409) == "report_conflict"
    both = send(each_service, item(lease, steps[EARLY + 1], steps[EARLY + 1]), item(lease, N_STEPS, N_STEPS))
    assert [one["decision"] for one in both.json()["decisions"]] == ["continue", "continue"]

    assert each_service.client().curves(name, 0).metrics == {
        "validation_accuracy": [float(step) for step in range(N_STEPS + 1)]
    }


def test_a_step_that_was_left_out_can_still_be_reported(each_service: Service) -> None:
    name, lease = long_lease(each_service, range(1, N_STEPS))

    assert each_service.report(lease, 0, 7.0) == "continue"
    assert each_service.report(lease, 0, 7.0) == "continue"
    assert code_of(send(each_service, item(lease, 0, 0.5)), 409) == "report_conflict"

    assert each_service.client().curves(name, 0).metrics["validation_accuracy"][:2] == [7.0, 1.0]


def test_early_reports_are_known_again_after_a_restart(fresh_service: Service) -> None:
    _, lease = long_lease(fresh_service)
    fresh_service.restart()

    assert fresh_service.report(lease, EARLY, EARLY) == "continue"
    assert code_of(send(fresh_service, item(lease, EARLY, 0.5)), 409) == "report_conflict"
    assert fresh_service.report(lease, N_STEPS) == "continue"


@pytest.mark.covering(1)
@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("uploaded_after", [EARLY + 1, N_STEPS])
def test_a_trial_that_is_resumed_early_has_the_metrics_of_its_checkpoint(
    fresh_service: Service, uploaded_after: int, restarted: bool
) -> None:
    """The checkpoint comes when its report is among the newest ones, or long after."""
    service = fresh_service
    name, lease = long_lease(service, range(uploaded_after))
    service.upload(lease, "checkpoint", b"state", step=EARLY)
    report_many(service, lease, range(uploaded_after, N_STEPS))
    if restarted:
        service.restart()
    service.clock.advance(LEASE_SECONDS)

    again = service.claim_one(name)
    assert again["resume"]["step"] == EARLY
    response = service.http.post(f"/v1/leases/{again['lease_id']}/complete", json={})

    assert response.json() == {"state": "COMPLETE"}
    assert service.trial(name, 0)["values"] == [float(EARLY)]


def test_a_lease_that_reports_from_the_start_again_keeps_its_own_report_of_the_checkpoint(service: Service) -> None:
    name, lease = long_lease(service, range(EARLY + 1))
    service.upload(lease, "checkpoint", b"state", step=EARLY)
    service.release(lease)
    second = service.claim_one(name)
    for first in range(0, N_STEPS, PER_CALL):
        steps = range(first, min(first + PER_CALL, N_STEPS))
        assert send(service, *(item(second, step, step + 0.5) for step in steps)).status_code == 200
    service.release(second)

    third = service.claim_one(name)
    assert service.http.post(f"/v1/leases/{third['lease_id']}/complete", json={}).json() == {"state": "COMPLETE"}

    assert service.trial(name, 0)["values"] == [EARLY + 0.5]
