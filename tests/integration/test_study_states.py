"""Studies are paused, resumed, stopped and extended."""

from typing import Any

import pytest

from tests.integration.service_driver import (
    LEASE_SECONDS,
    Service,
    code_of,
    definition,
    errors_of,
)


def test_a_paused_study_gives_no_trials_and_lets_running_ones_end(service: Service) -> None:
    name = service.create()
    lease = service.claim_one(name)

    assert service.change(name, state="paused")["state"] == "paused"

    assert service.claim(name) == []
    assert service.report(lease, 0) == "continue"
    assert service.complete(lease) == "COMPLETE"
    assert service.change(name, state="running")["state"] == "running"
    assert len(service.claim(name)) == 1


def test_a_study_paused_at_its_end_finishes_when_it_is_resumed(service: Service) -> None:
    name = service.create(n_trials=1)
    lease = service.claim_one(name)
    service.change(name, state="paused")
    service.complete(lease)
    assert service.study(name)["state"] == "paused"

    assert service.change(name, state="running")["state"] == "finished"


def test_a_stopped_study_tells_running_trials_to_stop(service: Service) -> None:
    name = service.create()
    lease = service.claim_one(name)

    stopped = service.change(name, state="stopped")

    assert stopped["state"] == "stopped"
    assert stopped["finished_reason"] == "stopped by a user"
    assert stopped["finished_at"] is not None
    assert service.claim(name) == []
    assert service.report(lease, 0) == "stop"
    assert service.report(lease, 0) == "stop"
    assert service.report(lease, 1) == "stop"
    trial = service.trial(name, 0)
    assert trial["state"] == "FAIL"
    assert trial["reason"] == "stopped: the study was stopped"
    assert trial["attempts"][0]["outcome"] == "stop"


def test_a_stopped_study_can_go_on(service: Service) -> None:
    name = service.create()
    service.run(name)
    service.change(name, state="stopped")

    resumed = service.change(name, state="running")

    assert (resumed["state"], resumed["finished_at"], resumed["finished_reason"]) == ("running", None, None)
    service.run(name, 2)
    assert service.study(name)["state"] == "finished"


def test_a_trial_that_is_given_back_ends_with_its_stopped_study(each_service: Service) -> None:
    name = each_service.create()
    lease = each_service.claim_one(name)
    each_service.change(name, state="stopped")

    assert each_service.release(lease) == "FAIL"
    assert each_service.release(lease) == "FAIL"

    trial = each_service.trial(name, 0)
    assert (trial["state"], trial["reason"]) == ("FAIL", "stopped: the study was stopped")
    assert [attempt["outcome"] for attempt in trial["attempts"]] == ["release"]
    assert each_service.counts(name) == {"FAIL": 1}


@pytest.mark.parametrize("how", ["release", "expire", "fail"])
def test_a_trial_that_waits_to_be_tried_again_ends_when_its_study_is_stopped(fresh_service: Service, how: str) -> None:
    name = fresh_service.create(enqueue=[{}, {}])
    lease = fresh_service.claim_one(name)
    match how:
        case "release":
            fresh_service.release(lease)
        case "expire":
            fresh_service.clock.advance(LEASE_SECONDS)
            fresh_service.study(name)  # by any call the service learns of it
        case "fail":
            fresh_service.fail(lease, retry=True)
    assert fresh_service.trial(name, 0)["state"] == "WAITING"

    fresh_service.change(name, state="stopped")
    fresh_service.restart()

    trial = fresh_service.trial(name, 0)
    assert (trial["state"], trial["reason"]) == ("FAIL", "stopped: the study was stopped")
    assert fresh_service.trial(name, 1)["state"] == "WAITING", "it has not begun: it runs when the study goes on"
    fresh_service.change(name, state="running")
    assert [lease["trial_number"] for lease in fresh_service.claim(name, max_trials=3)] == [1, 2]


@pytest.mark.parametrize("end", ["timeout", "target"])
def test_no_trial_waits_to_be_tried_again_in_a_study_that_has_ended_early(service: Service, end: str) -> None:
    limit = {"timeout_seconds": 50} if end == "timeout" else {"target_value": 0.9}
    name = service.create(**limit)
    released, other = service.claim(name, max_trials=2)
    service.release(released)
    if end == "timeout":
        service.clock.advance(50)
    service.complete(other, 0.95)

    study = service.study(name)

    assert study["state"] == "finished"
    trial = service.trial(name, 0)
    assert (trial["state"], trial["reason"]) == ("FAIL", f"stopped: {study['finished_reason']}")


def test_a_trial_of_a_stopped_study_may_still_be_completed(service: Service) -> None:
    name = service.create()
    lease = service.claim_one(name)
    service.change(name, state="stopped")

    assert service.complete(lease) == "COMPLETE"
    assert service.study(name)["best"]["number"] == 0


def test_a_finished_study_goes_on_when_it_is_extended(service: Service) -> None:
    name = service.create(n_trials=1)
    service.run(name)
    assert service.study(name)["state"] == "finished"

    extended = service.change(name, n_trials=3)

    assert extended["state"] == "running"
    assert extended["finished_at"] is None
    assert extended["definition"]["n_trials"] == 3
    service.run(name, 2)
    study = service.study(name)
    assert (study["state"], study["finished_reason"]) == ("finished", "all 3 trials are finished")
    assert service.claim(name) == []


def test_a_running_study_can_be_extended(service: Service) -> None:
    name = service.create(n_trials=1)
    lease = service.claim_one(name)
    assert service.claim(name) == []

    service.change(name, n_trials=2)

    assert len(service.claim(name, max_trials=5)) == 1
    service.complete(lease)
    assert service.study(name)["state"] == "running"


def test_an_extended_study_is_found_by_its_first_and_by_its_new_definition(service: Service) -> None:
    wanted = definition(n_trials=1)
    service.http.post("/v1/studies", json=wanted)
    service.change(wanted["name"], n_trials=5)

    for n_trials, status in ((1, 200), (5, 200), (3, 409)):
        assert service.http.post("/v1/studies", json={**wanted, "n_trials": n_trials}).status_code == status


@pytest.mark.parametrize("state", ["paused", "running", "stopped"])
def test_a_finished_study_does_not_change_its_state(service: Service, state: str) -> None:
    name = service.create(n_trials=1)
    service.run(name)
    before = service.study(name)

    assert code_of(service.http.patch(f"/v1/studies/{name}", json={"state": state}), 409) == "state_conflict"
    assert service.study(name) == before


def test_a_stopped_study_cannot_be_paused(service: Service) -> None:
    name = service.create()
    service.change(name, state="stopped")

    assert code_of(service.http.patch(f"/v1/studies/{name}", json={"state": "paused"}), 409) == "state_conflict"


@pytest.mark.parametrize("state", ["paused", "running", "stopped"])
def test_a_change_into_the_state_it_is_in_changes_nothing(service: Service, state: str) -> None:
    name = service.create()
    before = service.change(name, state=state)
    service.clock.advance(10)

    assert service.change(name, state=state) == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"state": None}, "body"),
        ({"state": "finished"}, "state"),
        ({"state": "Running"}, "state"),
        ({"n_trials": 3}, "n_trials"),
        ({"n_trials": 2}, "n_trials"),
        ({"n_trials": 0}, "n_trials"),
        ({"n_trials": 10**12}, "n_trials"),
        ({"n_trials": "9"}, "n_trials"),
        ({"n_trials": 9.0}, "n_trials"),
        ({"n_trials": True}, "n_trials"),
        ({"state": "paused", "n_trials": 2}, "n_trials"),
        ({"name": "other"}, "name"),
        ([], "body"),
    ],
)
def test_a_bad_change_is_refused_whole(service: Service, body: Any, field: str) -> None:
    name = service.create()
    before = service.study(name)

    assert field in errors_of(service.http.patch(f"/v1/studies/{name}", json=body))
    assert service.study(name) == before


def test_a_change_of_state_and_trials_at_once(service: Service) -> None:
    name = service.create(n_trials=1)
    service.run(name)

    changed = service.change(name, state="paused", n_trials=2)

    assert (changed["state"], changed["definition"]["n_trials"]) == ("paused", 2)
    assert service.claim(name) == []
