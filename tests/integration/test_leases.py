"""Leases: renewed by reports and renewals, lost when nobody is heard of, and then tried again."""

import pytest

from tests.integration.service_driver import LEASE_SECONDS, Json, Service, code_of, errors_of

ENDS: dict[str, Json | None] = {
    "complete": {"metrics": {"validation_accuracy": 0.5}},
    "fail": {"reason": "it broke"},
    "release": None,
}


def expire(service: Service) -> None:
    service.clock.advance(LEASE_SECONDS)


def renew(service: Service, *lease_ids: str) -> list[Json]:
    response = service.http.post("/v1/leases/renew", json={"lease_ids": list(lease_ids)})
    assert response.status_code == 200, response.text
    leases: list[Json] = response.json()["leases"]
    return leases


def test_a_lease_lives_through_its_whole_term(service: Service) -> None:
    lease = service.claim_one(service.create())
    service.clock.advance(LEASE_SECONDS - 0.001)

    assert service.report(lease, 0) == "continue"


def test_a_report_gives_a_fresh_term(service: Service) -> None:
    lease = service.claim_one(service.create())
    for step in range(4):
        service.clock.advance(LEASE_SECONDS * 0.9)
        assert service.report(lease, step) == "continue"


def test_a_repeated_report_gives_a_fresh_term_too(service: Service) -> None:
    lease = service.claim_one(service.create())
    for _ in range(4):
        assert service.report(lease, 0) == "continue"
        service.clock.advance(LEASE_SECONDS * 0.9)

    assert service.report(lease, 1) == "continue"


def test_a_renewal_gives_a_fresh_term(service: Service) -> None:
    lease = service.claim_one(service.create())
    for _ in range(4):
        service.clock.advance(LEASE_SECONDS * 0.9)
        assert renew(service, lease["lease_id"]) == [
            {"lease_id": lease["lease_id"], "alive": True, "expires_in_seconds": LEASE_SECONDS}
        ]


def test_renewals_are_answered_in_order_and_lost_ones_say_so(service: Service) -> None:
    name = service.create()
    ended, alive = service.claim(name, max_trials=2)
    service.complete(ended)

    answers = renew(service, "no-such-lease", alive["lease_id"], ended["lease_id"])

    assert [(answer["alive"], answer["expires_in_seconds"]) for answer in answers] == [
        (False, 0.0),
        (True, LEASE_SECONDS),
        (False, 0.0),
    ]


@pytest.mark.parametrize("body", [{}, {"lease_ids": []}, {"lease_ids": [""]}, {"lease_ids": [1]}, {"lease_ids": "x"}])
def test_a_bad_renewal_is_refused(service: Service, body: Json) -> None:
    assert errors_of(service.http.post("/v1/leases/renew", json=body))


def test_a_renewal_with_nul_is_refused(each_service: Service) -> None:
    response = each_service.http.post("/v1/leases/renew", json={"lease_ids": ["a\0b"]})

    assert "lease_ids.0" in errors_of(response)


def test_an_expired_lease_is_lost_and_its_trial_comes_back_clean(each_service: Service) -> None:
    name = each_service.create(n_trials=2, enqueue=[{}, {}])
    (lease,) = each_service.claim(name, worker="dead")
    each_service.report(lease, 0, 0.9)
    expire(each_service)

    assert each_service.report(lease, 1, 0.95) == "lost"
    assert renew(each_service, lease["lease_id"])[0]["alive"] is False
    trial = each_service.trial(name, 0)
    assert (trial["state"], trial["step"], trial["metrics"]) == ("WAITING", None, {})
    assert trial["attempts"][0]["outcome"] == "expire"
    assert trial["attempts"][0]["reason"] == "worker dead was not heard of for 60 s"
    (kept, _) = each_service.store.optuna.get_all_trials(study_id(each_service, name))
    assert kept.intermediate_values == {}

    again = each_service.claim_one(name)
    assert (again["trial_number"], again["attempt"]) == (0, 2)
    assert (again["params"], again["seed"]) == (lease["params"], lease["seed"])
    assert each_service.report(again, 0, 0.1) == "continue", "the first attempt's report is forgotten"
    assert each_service.complete(again, 0.2) == "COMPLETE"
    trial = each_service.trial(name, 0)
    assert (trial["values"], trial["step"]) == ([0.2], 0)
    assert trial["started_at"] == trial["attempts"][0]["started_at"]


def study_id(service: Service, name: str) -> int:
    return service.store.optuna.get_study_id_from_name(name)


@pytest.mark.parametrize("how", ENDS)
def test_a_call_on_an_expired_lease_is_lost_and_changes_nothing(service: Service, how: str) -> None:
    name = service.create()
    lease = service.claim_one(name)
    expire(service)

    for _ in range(2):
        response = service.http.post(f"/v1/leases/{lease['lease_id']}/{how}", json=ENDS[how])
        assert code_of(response, 409) == "lease_lost"

    assert service.counts(name) == {"WAITING": 1}
    again = service.claim_one(name)
    response = service.http.post(f"/v1/leases/{lease['lease_id']}/{how}", json=ENDS[how])
    assert code_of(response, 409) == "lease_lost"
    assert service.report(lease, 0) == "lost"
    assert service.report(again, 0) == "continue", "the new lease is untouched"


def test_a_trial_fails_when_its_attempts_are_used_up(each_service: Service) -> None:
    name = each_service.create(n_trials=1, max_attempts=3)
    for attempt, worker in enumerate("abc", 1):
        (lease,) = each_service.claim(name, worker=worker)
        assert (lease["trial_number"], lease["attempt"]) == (0, attempt)
        expire(each_service)

    assert each_service.claim(name) == []
    trial = each_service.trial(name, 0)
    assert trial["state"] == "FAIL"
    assert trial["reason"] == (
        "attempt 1: worker a was not heard of for 60 s; "
        "attempt 2: worker b was not heard of for 60 s; "
        "attempt 3: worker c was not heard of for 60 s"
    )
    assert each_service.study(name)["state"] == "finished"


def test_releases_in_between_do_not_use_up_attempts(service: Service) -> None:
    name = service.create(n_trials=1, max_attempts=2)
    for _ in range(3):
        service.release(service.claim_one(name))
    assert service.claim_one(name)["attempt"] == 1
    expire(service)
    service.release(service.claim_one(name))

    assert service.claim_one(name)["attempt"] == 2
    expire(service)
    assert service.claim(name) == []
    assert service.counts(name) == {"FAIL": 1}


def test_expired_and_failed_attempts_are_counted_together(service: Service) -> None:
    name = service.create(n_trials=1, max_attempts=2)
    service.fail(service.claim_one(name), "out of memory", retry=True)
    service.claim_one(name)
    expire(service)

    assert service.claim(name) == []
    assert service.trial(name, 0)["reason"] == (
        "attempt 1: out of memory; attempt 2: worker worker was not heard of for 60 s"
    )


def test_the_last_of_several_failures_names_them_all(service: Service) -> None:
    name = service.create(n_trials=1, max_attempts=2)
    service.claim_one(name)
    expire(service)
    assert service.fail(service.claim_one(name), "no data set", retry=True) == "FAIL"

    reason = service.trial(name, 0)["reason"]
    assert reason == "attempt 1: worker worker was not heard of for 60 s; attempt 2: no data set"


def test_a_reason_of_several_attempts_is_told_once(service: Service) -> None:
    name = service.create(n_trials=1, max_attempts=4)
    for reason in ("no data set", "no data set", "no data set", "out of memory"):
        service.fail(service.claim_one(name), reason, retry=True)
    assert service.trial(name, 0)["reason"] == "attempts 1 to 3: no data set; attempt 4: out of memory"


def test_a_missing_objective_is_told_with_what_was_reported(service: Service) -> None:
    lease = service.claim_one(service.create())
    path = f"/v1/leases/{lease['lease_id']}"
    rule = "validation_accuracy, which is an objective, must be in metrics or in the last report: "
    found = errors_of(service.http.post(f"{path}/complete", json={"metrics": {}}))
    assert found == {"metrics.validation_accuracy": f"{rule}no metrics given, nothing was reported"}
    report = {"lease_id": lease["lease_id"], "step": 4, "metrics": {"loss": 0.5, "accuracy": 0.5}}
    assert service.http.post("/v1/reports", json={"reports": [report]}).status_code == 200
    found = errors_of(service.http.post(f"{path}/complete", json={"metrics": {"seconds": 1}}))
    given = "accuracy, loss, seconds given, the last report was at step 4"
    assert found == {"metrics.validation_accuracy": f"{rule}{given}"}


def test_many_leases_that_expire_at_once_come_back_once_each(each_service: Service) -> None:
    name = each_service.create(n_trials=4)
    each_service.claim(name, max_trials=4)
    expire(each_service)

    again = each_service.claim(name, max_trials=9)

    assert sorted(lease["trial_number"] for lease in again) == [0, 1, 2, 3]
    assert each_service.counts(name) == {"RUNNING": 4}


@pytest.mark.parametrize("how", ["stopped", "timeout", "last attempt"])
def test_leases_that_expire_in_an_ended_study_fail_their_trials(service: Service, how: str) -> None:
    limits = {"timeout_seconds": 10} if how == "timeout" else {"max_attempts": 1} if how == "last attempt" else {}
    name = service.create(n_trials=3, **limits)
    service.claim(name, max_trials=3)
    if how == "stopped":
        service.change(name, state="stopped")
    expire(service)

    assert service.counts(name) == {"FAIL": 3}

    assert service.study(name)["state"] == ("stopped" if how == "stopped" else "finished")


def test_leases_expire_in_a_paused_study_too(service: Service) -> None:
    name = service.create(n_trials=1)
    service.claim_one(name)
    service.change(name, state="paused")
    expire(service)

    assert service.counts(name) == {"WAITING": 1}
    service.change(name, state="running")
    assert service.claim_one(name)["attempt"] == 2
