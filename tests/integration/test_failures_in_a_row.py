"""Failed trials in a row pause a study, and keep a worker on which trials only fail from its trials."""

import pytest

from tests.integration.events_driver import now
from tests.integration.service_driver import Json, Service


def fail(service: Service, name: str, n: int, worker: str = "worker") -> None:
    for _ in range(n):
        (lease,) = service.claim(name, worker=worker)
        service.fail(lease, "no file labels.csv; the end of its output:\nTraceback")


def answer_to_failure(service: Service, lease: Json) -> Json:
    answer: Json = service.http.post(f"/v1/leases/{lease['lease_id']}/fail", json={"reason": "no file"}).json()
    return answer


@pytest.mark.parametrize(
    ("fields", "limit"),
    [({"n_trials": 30}, 10), ({"n_trials": 80}, 20), ({"n_trials": 30, "max_failures_in_a_row": 3}, 3)],
)
def test_so_many_failed_trials_in_a_row_pause_a_study(service: Service, fields: Json, limit: int) -> None:
    name = service.create(**fields)
    fail(service, name, limit - 1)
    assert service.study(name)["state"] == "running"
    assert service.study(name)["state_reason"] is None

    fail(service, name, 1)

    study = service.study(name)
    assert study["state"] == "paused"
    said = f"the last {limit} trials have failed (max_failures_in_a_row), the last one: no file labels.csv"
    assert study["state_reason"] == said
    assert study["finished_at"] is None
    assert service.claim(name, worker="other") == []
    assert service.counts(name) == {"FAIL": limit}


def test_a_study_that_is_resumed_may_fail_as_often_again(service: Service) -> None:
    name = service.create(n_trials=30, max_failures_in_a_row=3)
    fail(service, name, 3)

    resumed = service.change(name, state="running")

    assert (resumed["state"], resumed["state_reason"]) == ("running", None)
    service.clock.advance(1)
    fail(service, name, 2)
    service.restart()
    assert service.study(name)["state"] == "running"
    fail(service, name, 1)
    assert service.study(name)["state"] == "paused"


@pytest.mark.parametrize("how", ["extended", "retried"])
def test_a_finished_study_that_goes_on_may_fail_as_often_again(service: Service, how: str) -> None:
    name = service.create(n_trials=3, max_failures_in_a_row=3)
    fail(service, name, 3)
    service.clock.advance(1)
    if how == "extended":
        service.change(name, n_trials=9)
    else:
        assert service.http.post(f"/v1/studies/{name}/trials/0/retry").status_code == 201
    service.restart()
    assert len(service.claim(name)) == 1


def test_the_reason_and_the_row_outlive_a_restart(service: Service) -> None:
    name = service.create(n_trials=30, max_failures_in_a_row=3)
    fail(service, name, 2)
    service.restart()
    fail(service, name, 1)
    reason = service.study(name)["state_reason"]
    assert reason.startswith("the last 3 trials have failed")
    service.restart()
    assert service.study(name)["state"] == "paused"
    assert service.study(name)["state_reason"] == reason


@pytest.mark.parametrize("how", ["complete", "prune"])
def test_a_trial_that_does_not_fail_ends_the_row(service: Service, how: str) -> None:
    name = service.create(n_trials=30, max_failures_in_a_row=3)
    for _ in range(3):
        fail(service, name, 2)
        lease = service.claim_one(name)
        if how == "complete":
            service.complete(lease)
        else:
            service._end(lease, "prune", None)
    assert service.study(name)["state"] == "running"


def test_the_worker_that_only_fails_stops_while_others_go_on(service: Service) -> None:
    name = service.create(n_trials=30, max_failures_in_a_row=3)
    for _ in range(3):
        fail(service, name, 1, worker="broken")
        service.complete(service.claim(name, worker="good")[0])
    assert service.claim(name, worker="broken") == []
    assert service.study(name)["state"] == "running"
    assert "on broken: no file labels.csv" in service.study(name)["waits_for"]
    (lease,) = service.claim(name, worker="good")
    assert service.study(name)["waits_for"] is None
    service.complete(lease)
    service.restart()
    assert service.claim(name, worker="broken") == []
    service.clock.advance(1)
    service.change(name, state="running")
    assert len(service.claim(name, worker="broken")) == 1


def claim_on(service: Service, name: str, host: str, device: int = 0) -> list[Json]:
    return service.claim(name, worker=f"{host}/cuda:{device}", host=host)


def fail_on_machine(service: Service, name: str) -> Json:
    """Fail a trial on each of three devices of a machine while another machine succeeds. Return the last answer."""
    for device in range(3):
        service.complete(claim_on(service, name, "good")[0])
        answer = answer_to_failure(service, claim_on(service, name, "broken", device)[0])
    return answer


def test_the_workers_of_a_broken_machine_stop_together_while_others_go_on(service: Service) -> None:
    name = service.create(n_trials=30, max_failures_in_a_row=3)
    note = fail_on_machine(service, name)["note"]
    said = f"too many trials in a row have failed on broken: no file (narrows resume {name} lets all go on)"
    assert note == f"this worker gets no more trials of the study: {said}"
    assert service.study(name)["waits_for"] == said
    service.restart()
    assert [claim_on(service, name, "broken", device) for device in range(4)] == [[]] * 4
    assert service.study(name)["state"] == "running"
    assert len(claim_on(service, name, "good")) == 1
    service.clock.advance(1)
    service.change(name, state="running")
    assert len(claim_on(service, name, "broken")) == 1


def test_a_machine_on_which_a_last_trial_succeeds_goes_on_without_its_broken_device(service: Service) -> None:
    name = service.create(n_trials=30, max_failures_in_a_row=2)
    (slow,) = claim_on(service, name, "half", 1)
    for _ in range(2):
        service.complete(claim_on(service, name, "good")[0])
        answer_to_failure(service, claim_on(service, name, "half", 0)[0])
    assert claim_on(service, name, "half", 1) == []
    service.complete(slow)
    assert len(claim_on(service, name, "half", 1)) == 1
    assert claim_on(service, name, "half", 0) == []


def test_a_success_between_failures_of_a_machine_lets_it_go_on(service: Service) -> None:
    name = service.create(n_trials=30, max_failures_in_a_row=3)
    for device in range(4):
        answer_to_failure(service, claim_on(service, name, "flaky", device)[0])
        service.complete(claim_on(service, name, "flaky", device + 4)[0])
    assert len(claim_on(service, name, "flaky", 0)) == 1


def test_a_study_goes_on_while_a_worker_without_failures_has_a_trial(service: Service) -> None:
    name = service.create(n_trials=30, max_failures_in_a_row=3)
    (slow,) = service.claim(name, worker="good")
    fail(service, name, 3, worker="broken")
    assert service.study(name)["state"] == "running"
    assert service.claim(name, worker="broken") == []
    service.complete(slow)
    assert len(service.claim(name, worker="good")) == 1


def test_a_study_on_which_every_worker_fails_is_paused_after_the_last_hope(service: Service) -> None:
    name = service.create(n_trials=30, max_failures_in_a_row=3)
    (slow,) = service.claim(name, worker="other")
    fail(service, name, 3, worker="broken")
    service.fail(slow, "no file either")
    study = service.study(name)
    assert study["state"] == "paused"
    assert study["state_reason"].startswith("the last 4 trials have failed")
    assert study["state_reason"].endswith("no file either")


def test_a_worker_is_told_why_it_gets_no_more_trials(service: Service) -> None:
    name = service.create(n_trials=30, max_failures_in_a_row=2)
    (slow,) = service.claim(name, worker="good")
    leases = [service.claim(name, worker="broken")[0] for _ in range(2)]
    assert answer_to_failure(service, leases[0]) == {"state": "FAIL"}
    note = answer_to_failure(service, leases[1])["note"]
    assert note.startswith("this worker gets no more trials of the study: ")
    assert note.endswith(f"(narrows resume {name} lets all go on)")
    assert answer_to_failure(service, slow)["note"].startswith("the study is paused: the last 3 trials have failed")


def test_a_study_whose_last_trials_fail_is_finished(service: Service) -> None:
    name = service.create(n_trials=3, max_failures_in_a_row=3)
    fail(service, name, 3)
    assert service.study(name)["state"] == "finished"
    assert service.study(name)["state_reason"] == "all 3 trials are finished"


def test_attempts_that_are_tried_again_are_no_failed_trials(service: Service) -> None:
    name = service.create(n_trials=30, max_attempts=9, max_failures_in_a_row=3)
    for _ in range(5):
        service.fail(service.claim_one(name), retry=True)
    assert service.study(name)["state"] == "running"


def test_trials_that_end_with_their_study_are_no_failures(service: Service) -> None:
    name = service.create(n_trials=30, max_failures_in_a_row=3)
    leases = [service.claim_one(name) for _ in range(4)]
    service.change(name, state="stopped")
    assert {service.report(lease, 0) for lease in leases} == {"stop"}
    service.clock.advance(1)
    service.change(name, state="running")
    fail(service, name, 2)
    assert service.study(name)["state"] == "running"


def test_a_user_pauses_without_a_reason(service: Service) -> None:
    name = service.create()
    assert service.change(name, state="paused")["state_reason"] is None
    assert service.change(name, state="stopped")["state_reason"] == "stopped by a user"


def test_a_subscriber_hears_why_a_study_was_paused(service: Service) -> None:
    name = service.create(n_trials=30, max_failures_in_a_row=1)
    start = now(service)
    fail(service, name, 1)
    (paused,) = [event for event in service.events_after(start, study=name) if event.type == "study_paused"]
    assert paused.data["reason"] == service.study(name)["state_reason"]
