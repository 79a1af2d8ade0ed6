"""What becomes of trials that are paused, or were told to pause, when their study ends."""

import pytest
from optuna.trial import TrialState

from service.study.call_costs import MAX_LEASES
from tests.integration.promotion_driver import create, pause, stock_trials
from tests.integration.service_driver import Service


def test_the_end_of_a_study_prunes_what_is_paused(each_service: Service) -> None:
    service = each_service
    name = create(service, n_trials=2)
    for value in (0.5, 0.4):
        pause(service, service.claim_one(name), 0, value)
    assert service.study(name)["state"] == "running"
    last = service.claim_one(name)
    assert service.trial(name, 1)["paused_at_rung"] == 0
    assert [one["name"] for one in service.artifacts(name, 1)] == ["checkpoint"], "it may still go on"
    service.complete(last, 0.9)

    assert (service.study(name)["state"], service.counts(name)) == ("finished", {"COMPLETE": 1, "PRUNED": 1})
    assert service.artifacts(name, 1) == []
    trial = service.trial(name, 1)
    assert (trial["state"], trial["paused_at_rung"], trial["metrics"]) == (
        "PRUNED",
        None,
        {"validation_accuracy": 0.4},
    )
    assert [attempt["outcome"] for attempt in trial["attempts"]] == ["pause"]
    with stock_trials(service, name) as trials:
        ended = [(one.state, one.value) for one in trials]
    assert ended == [(TrialState.COMPLETE, 0.9), (TrialState.PRUNED, 0.4)]


def test_a_study_whose_last_trial_pauses_ends(service: Service) -> None:
    name = create(service, n_trials=1)
    pause(service, service.claim_one(name), 0, 0.5)
    assert (service.study(name)["state"], service.counts(name)) == ("finished", {"PRUNED": 1})


@pytest.mark.parametrize("ends", ["stopped", "target"])
def test_an_early_end_prunes_what_is_paused(sqlite_service: Service, ends: str) -> None:
    service = sqlite_service
    name = create(service, n_trials=9, target_value=0.95)
    pause(service, service.claim_one(name), 0, 0.5)
    if ends == "stopped":
        service.change(name, state="stopped")
    else:
        service.complete(service.claim_one(name), 0.99)

    assert service.counts(name)["PRUNED"] == 1
    assert service.claim(name) == []
    assert service.blob_files() == []


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("end", ["pause", "release", "fail", "report", "expire"])
def test_what_was_told_to_pause_is_pruned_when_its_study_was_stopped(service: Service, end: str, kept: bool) -> None:
    name = create(service)
    lease = service.claim_one(name)
    assert service.report(lease, 0, 0.5) == "pause"
    if kept:
        service.upload(lease, "checkpoint", b"state", 0)
    service.change(name, state="stopped")

    match end:
        case "pause":
            assert service.pause(lease) == service.pause(lease) == "PRUNED"
        case "release":
            assert service.release(lease) == service.release(lease) == "PRUNED"
        case "fail":
            assert [service.fail(lease, "no memory", retry=True) for _ in range(2)] == ["PRUNED"] * 2
        case "report":
            assert service.report(lease, 1, 0.5) == service.report(lease, 1, 0.5) == "prune"
        case "expire":
            service.clock.advance(61.0)
    assert service.study(name)["state"] == "stopped"
    trial = service.trial(name, 0)
    assert (trial["state"], trial["reason"], trial["metrics"]) == ("PRUNED", None, {"validation_accuracy": 0.5})
    with stock_trials(service, name) as trials:
        assert [(one.state, one.value) for one in trials] == [(TrialState.PRUNED, 0.5)]
    (attempt,) = trial["attempts"]
    reasons = {"fail": "no memory", "expire": "worker worker was not heard of for 60 s; the study was stopped"}
    assert attempt["reason"] == reasons.get(end)
    assert service.artifacts(name, 0) == []


def test_what_was_told_to_pause_and_fails_for_good_has_failed_when_its_study_was_stopped(service: Service) -> None:
    name = create(service)
    lease = service.claim_one(name)
    assert service.report(lease, 0, 0.5) == "pause"
    service.change(name, state="stopped")

    assert service.fail(lease, "a bug", retry=False) == "FAIL"
    assert service.trial(name, 0)["reason"] == "a bug"


def test_what_was_told_to_pause_and_is_renewed_after_the_stop_is_pruned(service: Service) -> None:
    training = {"entrypoint": "mine:train"}
    name = create(service, training=training, search_space={"x": {"type": "float", "low": 0, "high": 1}})
    (lease,) = service.claim(name, allow=["mine"])
    assert service.report(lease, 0, 0.5) == "pause"
    service.change(name, state="stopped")

    renewed = service.http.post("/v1/leases/renew", json={"lease_ids": [lease["lease_id"]]}).json()["leases"]
    assert [one["alive"] for one in renewed] == [False]
    assert service.trial(name, 0)["state"] == "PRUNED"


def test_calls_of_a_study_with_many_paused_trials_fit_a_turn_unless_they_may_end_it(service: Service) -> None:
    n_paused = MAX_LEASES + 1
    name = create(service, n_trials=n_paused + 2)
    leases = service.claim(name, n_paused + 2)
    for lease in leases[:n_paused]:
        pause(service, lease, 0, 0.5 - lease["trial_number"] / 1000)
    live = service.app.state.registry.get(name)
    live.costs.note("report", 1, 0.0)

    assert live.fits_turn("report", 1)
    assert not live.fits_turn("report", 2)  # the last open leases
    service.change(name, state="stopped")
    assert not live.fits_turn("report", MAX_LEASES)
