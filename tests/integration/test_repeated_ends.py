"""Ends that are repeated, contradict an earlier one, come late, or are of no trial."""

import pytest

from tests.integration.service_driver import Json, Service, code_of, end, errors_of, problem_of

ENDS: dict[str, Json | None] = {
    "complete": {"metrics": {"validation_accuracy": 0.5}},
    "fail": {"reason": "it broke"},
    "release": None,
}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("again", ENDS)
def test_an_end_can_be_repeated_but_not_changed(service: Service, how: str, again: str) -> None:
    name = service.create()
    lease = service.claim_one(name)
    first = end(service, lease, how, ENDS[how])
    before = service.trial(name, 0)

    second = end(service, lease, again, ENDS[again])

    if how == again:
        assert (second.status_code, second.json()) == (200, first.json())
    else:
        problem = problem_of(second, 409)
        assert problem["code"] == "lease_closed"
        assert how in problem["detail"]
    assert service.trial(name, 0) == before


@pytest.mark.parametrize(
    "other",
    [
        {"metrics": {"validation_accuracy": 0.9}},
        {"metrics": {"validation_accuracy": 0.5, "n_parameters": 9}},
        {"metrics": {"validation_accuracy": 0.5}, "values": [0.9]},
        {"metrics": {"validation_accuracy": "nan"}},
        {"metrics": {"validation_accuracy": 0.5}, "values": [0.5, 0.5]},
        {},
    ],
)
def test_completing_again_with_other_results_is_refused_and_changes_nothing(each_service: Service, other: Json) -> None:
    name = each_service.create()
    lease = each_service.claim_one(name)
    each_service.complete(lease, 0.5)
    before = each_service.trial(name, 0)

    problem = problem_of(end(each_service, lease, "complete", other), 409)

    assert problem["code"] == "lease_closed"
    assert "other results" in problem["detail"]
    assert each_service.trial(name, 0) == before
    assert each_service.complete(lease, 0.5) == "COMPLETE"


def test_completing_again_from_the_last_report_is_the_same_call(service: Service) -> None:
    name = service.create()
    lease = service.claim_one(name)
    service.report(lease, 0, 0.5)

    assert end(service, lease, "complete", {}).json() == {"state": "COMPLETE"}
    assert end(service, lease, "complete", {}).json() == {"state": "COMPLETE"}
    assert code_of(end(service, lease, "complete", {"values": [0.4]}), 409) == "lease_closed"


@pytest.mark.parametrize("how", ["prune", "stop"])
def test_the_final_metrics_of_a_trial_that_was_ended_are_kept_once(service: Service, how: str) -> None:
    name = service.create(pruner={"name": "threshold", "lower": 0.4})
    lease = service.claim_one(name)
    if how == "stop":
        service.change(name, state="stopped")
    assert service.report(lease, 0, 0.1) == how
    state = service.trial(name, 0)["state"]

    for _ in range(2):
        assert service.complete(lease, 0.1, metrics={"n_parameters": 9}) == state
    assert end(service, lease, "complete", {}).json() == {"state": state}
    assert code_of(end(service, lease, "complete", {"metrics": {"n_parameters": 8}}), 409) == "lease_closed"

    trial = service.trial(name, 0)
    assert (trial["state"], trial["metrics"]["n_parameters"]) == (state, 9.0)


@pytest.mark.parametrize("other", [{"reason": "something else", "retry": True}, {"reason": "it broke", "retry": False}])
def test_failing_again_in_another_way_is_refused(each_service: Service, other: Json) -> None:
    name = each_service.create()
    lease = each_service.claim_one(name)
    assert each_service.fail(lease, "it broke", retry=True) == "WAITING"

    assert code_of(end(each_service, lease, "fail", other), 409) == "lease_closed"
    assert each_service.fail(lease, "it broke", retry=True) == "WAITING"
    assert each_service.trial(name, 0)["attempts"][0]["reason"] == "it broke"


@pytest.mark.parametrize("how", ENDS)
def test_a_report_after_the_end_is_lost_and_changes_nothing(service: Service, how: str) -> None:
    name = service.create()
    lease = service.claim_one(name)
    service.report(lease, 0, 0.5)
    end(service, lease, how, ENDS[how])
    before = service.trial(name, 0)

    assert service.report(lease, 1, 0.9) == "lost"

    assert service.trial(name, 0) == before


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("lease_id", ["f" * 32, "x", "日本", "%00", "a%2Fb", "x" * 65, ".."])
def test_a_lease_that_is_not_there_is_not_found(each_service: Service, how: str, lease_id: str) -> None:
    response = each_service.http.post(f"/v1/leases/{lease_id}/{how}", json=ENDS[how])

    assert response.status_code in (404, 422), response.text
    assert problem_of(response, response.status_code)["code"] in ("lease_not_found", "not_found", "invalid")


def test_a_trial_with_the_number_of_none_is_not_found(service: Service) -> None:
    name = service.create(enqueue=[{}])

    for number in (1, 2**31 - 1):
        for path in ("", "/curves"):
            response = service.http.get(f"/v1/studies/{name}/trials/{number}{path}")
            assert code_of(response, 404) == "trial_not_found"


@pytest.mark.parametrize("number", ["-1", "x", "1.5", str(2**31), "9" * 50])
def test_a_number_of_a_trial_that_is_none_is_refused(service: Service, number: str) -> None:
    name = service.create()

    assert "number" in errors_of(service.http.get(f"/v1/studies/{name}/trials/{number}"))
