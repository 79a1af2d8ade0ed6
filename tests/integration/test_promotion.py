"""Trials that pause at rungs and go on when they are promoted: in which order, with which sampler, after a restart."""

import logging

import optuna
import pytest

from tests.integration.events_driver import now
from tests.integration.promotion_driver import PRUNER, create, pause, stock_trials
from tests.integration.service_driver import Json, Service


def test_a_lease_names_the_rungs_before_the_last_epoch(service: Service) -> None:
    assert service.claim_one(create(service))["rung_steps"] == [0, 1]
    plain = {name: value for name, value in PRUNER.items() if name not in ("promote", "n_finalists")}
    assert service.claim_one(create(service, pruner=plain))["rung_steps"] == []


def test_two_of_three_go_on_from_finer_rungs(fresh_service: Service) -> None:
    service = fresh_service
    training = {"dataset": "digits", "model": "mlp", "epochs": 14}
    pruner = {**PRUNER, "reduction_factor": 1.5, "rung_factor": 1.6}
    name = create(service, n_trials=9, pruner=pruner, training=training)
    first = pause(service, service.claim_one(name), 0, 0.5)
    assert first["rung_steps"] == [0, 1, 2, 4, 7, 12]
    second = service.claim_one(name)
    assert service.report(second, 0, 0.6) == "continue", "one of two goes on"
    pause(service, second, 1, 0.6)
    third = service.claim_one(name)
    assert third["trial_number"] == 2
    pause(service, third, 0, 0.4)
    service.restart()
    assert service.claim_one(name)["trial_number"] == 0, "two of three go on"


def test_trials_pause_and_go_on_in_the_papers_order(each_service: Service) -> None:
    service = each_service
    name = create(service, n_trials=5)
    for value in (0.5, 0.4):  # of one nobody goes on, of two the best one does
        pause(service, service.claim_one(name), 0, value)
    first = service.claim_one(name)
    assert (first["trial_number"], first["attempt"]) == (0, 1)
    assert first["resume"] == {"step": 0, "artifact": "checkpoint"}
    assert service.download(name, 0, "checkpoint") == b"state after 0"
    pause(service, first, 1, 0.6)

    second = service.claim_one(name)
    assert second["trial_number"] == 2, "one of two at rung 0 has gone on, and one of one at rung 1 does not"
    assert service.report(second, 0, 0.7) == "continue", "it is the best one of three"
    pause(service, second, 1, 0.3)
    highest = service.claim_one(name)
    assert (highest["trial_number"], highest["resume"]["step"]) == (0, 1), "the best one of two at rung 1"
    assert highest["rung_steps"] == [0, 1]
    assert [service.report(highest, step, 0.8) for step in (2, 3)] == ["continue", "continue"]
    service.complete(highest, 0.8)
    assert service.claim_one(name)["trial_number"] == 3


def test_the_best_of_its_rung_goes_on_at_once(service: Service) -> None:
    name = create(service)
    pause(service, service.claim_one(name), 0, 0.4)
    lease = service.claim_one(name)
    assert service.report(lease, 0, 0.5) == "continue"
    assert service.report(lease, 0, 0.5) == "continue", "the same call again"
    pause(service, lease, 1, 0.6)


def test_the_highest_rung_comes_first_then_the_best_of_it(service: Service) -> None:
    name = create(service, n_trials=8)
    leases = service.claim(name, max_trials=8)
    for lease, value in zip(leases[:4], (0.1, 0.2, 0.3, 0.4), strict=True):
        service.report(lease, 0, value)
    # 0 pauses; 1 is the best of two; 2 is of three; 3 of four
    decisions = [service.trial(name, number)["step"] for number in range(4)]
    assert decisions == [0, 0, 0, 0]
    for lease in leases[:1]:
        service.upload(lease, "checkpoint", b"0", 0)
        service.pause(lease)
    for lease, value in ((leases[1], 0.25), (leases[2], 0.35)):
        told = service.report(lease, 1, value)
        if told == "pause":
            service.upload(lease, "checkpoint", b"1", 1)
            service.pause(lease)
    assert service.trial(name, 1)["paused_at_rung"] == 1
    for lease, value in zip(leases[4:], (0.05, 0.04, 0.03, 0.02), strict=True):
        pause(service, lease, 0, value)
    for lease in leases[2:4]:
        service.fail(lease)

    assert [trial["number"] for trial in service.trials(name) if trial["paused_at_rung"] is not None] == [
        0,
        1,
        4,
        5,
        6,
        7,
    ]
    assert service.claim_one(name)["trial_number"] == 0, "4 of 8 go on from rung 0: 3, 2, 1 and 0; 1 of 2 from rung 1"


def test_promoted_trials_come_after_retries_and_before_what_is_enqueued(service: Service) -> None:
    name = create(service, n_trials=5)
    pause(service, service.claim_one(name), 0, 0.5)
    released = service.claim_one(name)
    pause(service, service.claim_one(name), 0, 0.4)
    service.release(released)
    response = service.http.post(f"/v1/studies/{name}/trials", json={"params": {"learning_rate": 0.01}})
    assert response.status_code == 201

    assert [lease["trial_number"] for lease in service.claim(name, max_trials=9)] == [1, 0, 3, 4]


def test_all_of_it_is_there_after_a_restart(fresh_service: Service) -> None:
    service = fresh_service
    name = create(service, n_trials=4)
    pause(service, service.claim_one(name), 0, 0.5)
    told = service.claim_one(name)
    assert service.report(told, 0, 0.4) == "pause"
    service.restart()
    assert service.trial(name, 0)["paused_at_rung"] == 0

    service.upload(told, "checkpoint", b"state", 0)
    assert service.pause(told) == service.pause(told) == "WAITING"
    service.restart()

    promoted, new = service.claim_one(name), service.claim_one(name)
    assert (promoted["trial_number"], new["trial_number"]) == (0, 2)
    service.restart()
    assert service.trial(name, 0)["paused_at_rung"] is None
    assert service.report(promoted, 1, 0.6) == "pause"
    with stock_trials(service, name) as trials:
        assert [trial.state.name for trial in trials] == ["RUNNING", "WAITING", "RUNNING"]


def test_hyperband_divides_trials_among_brackets_as_optuna_does(service: Service) -> None:
    pruner = {"name": "hyperband", "min_resource": 1, "max_resource": 4, "reduction_factor": 2, "promote": True}
    name = create(service, name="in-three-brackets", n_trials=20, pruner=pruner)  # the brackets go by the name
    leases = service.claim(name, max_trials=20)
    stock = service.app.state.registry.get(name).study
    brackets = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=4, reduction_factor=2)
    brackets._try_initialization(stock)
    first_rungs = [[0, 1], [1], []]

    for lease, trial in zip(leases, stock.trials, strict=True):
        assert lease["rung_steps"] == first_rungs[brackets._get_bracket_id(stock, trial)]
    assert {len(lease["rung_steps"]) for lease in leases} == {0, 1, 2}


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsgaii", "cmaes"])
def test_samplers_learn_from_paused_trials(service: Service, sampler: str, caplog: pytest.LogCaptureFixture) -> None:
    options = {"population_size": 2} if sampler == "nsgaii" else {"n_startup_trials": 2}
    name = create(service, n_trials=8, sampler={"name": sampler, "seed": 0, **options})
    while leases := service.claim(name):
        (lease,) = leases
        value = lease["params"]["learning_rate"]
        told = [service.report(lease, step, value) for step in lease["rung_steps"] if step > _last(lease)][:1]
        if told == ["pause"]:
            service.upload(lease, "checkpoint", b"state", max(_last(lease) + 1, 0))
            service.pause(lease)
        else:
            service.complete(lease, value)

    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert service.study(name)["state"] == "finished"
    assert sum(service.counts(name).values()) == 8


def _last(lease: Json) -> int:
    step: int = -1 if lease["resume"] is None else lease["resume"]["step"]
    return step


def test_several_objectives_are_promoted_by_the_first(service: Service) -> None:
    objectives = [
        {"metric": "validation_accuracy", "direction": "maximize"},
        {"metric": "validation_loss", "direction": "minimize"},
    ]
    name = create(service, objectives=objectives)
    first, second = service.claim(name, max_trials=2)
    assert service.report(first, 0, 0.5, validation_loss=9.0) == "pause"
    assert service.report(second, 0, 0.4, validation_loss=0.1) == "pause"


def test_a_paused_trial_can_be_ended_by_hand(service: Service) -> None:
    name = create(service)
    pause(service, service.claim_one(name), 0, 0.5)
    trial_id = service.app.state.registry.get(name).study.trials[0]._trial_id
    response = service.http.post(f"/api/trials/{trial_id}/tell", json={"state": "Fail"})
    assert response.status_code < 300, response.text
    pause(service, service.claim_one(name), 0, 0.4)

    assert service.claim_one(name)["trial_number"] == 2
    assert service.trial(name, 0)["paused_at_rung"] is None


def test_a_paused_trial_is_told_of(service: Service) -> None:
    start = now(service)
    name = create(service, n_trials=2)
    pause(service, service.claim_one(name), 0, 0.5)

    last = service.events_after(start, study=name)[-1]
    assert (last.type, last.data["trial"], last.data["step"]) == ("trial_paused", 0, 0)
