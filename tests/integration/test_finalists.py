"""What a study that promotes does when nothing else is left to start: its best paused trials train to their ends."""

from typing import Any

import pytest

from tests.integration.promotion_driver import PRUNER, create, pause, stock_trials
from tests.integration.service_driver import Json, Service


def create_with_finalists(service: Service, n_finalists: int | None = 1, **changes: Any) -> str:
    return create(service, pruner={**PRUNER, "reduction_factor": 8, "n_finalists": n_finalists}, **changes)


def pause_all(service: Service, name: str, values: list[float], **metrics: float) -> list[Json]:
    """Report each value at the first rung, which pauses its trial."""
    leases = service.claim(name, max_trials=len(values))
    return [pause(service, lease, 0, value, **metrics) for lease, value in zip(leases, values, strict=True)]


def train(service: Service, lease: Json, value: float) -> None:
    """Train a trial that has been resumed after epoch 0 to its end, by whatever decisions."""
    assert [service.report(lease, step, value) for step in (1, 2, 3)] == ["continue"] * 3
    assert service.complete(lease, value) == "COMPLETE"


def test_the_best_paused_trials_are_trained_to_their_ends(each_service: Service) -> None:
    service = each_service
    name = create_with_finalists(service, 2)
    pause_all(service, name, [0.2, 0.5, 0.3, 0.4])
    assert service.study(name)["state"] == "running"

    first, second = service.claim(name, max_trials=9)
    assert [lease["trial_number"] for lease in (first, second)] == [1, 3]
    assert (first["resume"], first["rung_steps"], first["attempt"]) == ({"step": 0, "artifact": "checkpoint"}, [], 1)
    train(service, first, 0.6)
    assert service.claim(name) == []
    train(service, second, 0.1)

    study = service.study(name)
    assert (study["state"], study["finished_reason"]) == ("finished", "all 4 trials are finished")
    assert study["best"]["number"] == 1
    assert service.counts(name) == {"COMPLETE": 2, "PRUNED": 2}
    assert service.blob_files() == []


def test_three_are_trained_to_their_ends_unless_the_definition_says_otherwise(service: Service) -> None:
    name = create_with_finalists(service, None, n_trials=5)
    pause_all(service, name, [0.1, 0.2, 0.3, 0.4, 0.5])
    assert [lease["trial_number"] for lease in service.claim(name, max_trials=9)] == [4, 3, 2]


def test_complete_and_running_trials_are_among_the_best(service: Service) -> None:
    name = create_with_finalists(service, 2)
    *paused, running, whole = service.claim(name, max_trials=4)
    service.complete(whole, 0.9)
    assert service.report(running, 0, 0.8) == "pause"
    for lease, value in zip(paused, (0.6, 0.7), strict=True):
        pause(service, lease, 0, value)
    assert service.claim(name) == [], "the best two are whole or running"

    service.fail(running, "a bug", retry=False)
    assert service.claim_one(name)["trial_number"] == paused[1]["trial_number"]


def test_a_finalist_that_fails_makes_way_for_the_next(service: Service) -> None:
    name = create_with_finalists(service)
    pause_all(service, name, [0.2, 0.5, 0.3, 0.4])
    service.fail(service.claim_one(name), "a bug", retry=False)
    train(service, service.claim_one(name), 0.6)
    assert [trial["state"] for trial in service.trials(name)] == ["PRUNED", "FAIL", "PRUNED", "COMPLETE"]
    assert service.study(name)["state"] == "finished"


def test_a_metric_that_gets_worse_brings_in_nobody_else(service: Service) -> None:
    name = create_with_finalists(service)
    pause_all(service, name, [0.2, 0.5, 0.3, 0.4])
    train(service, service.claim_one(name), 0.1)
    assert service.counts(name) == {"COMPLETE": 1, "PRUNED": 3}


@pytest.mark.parametrize("given_back", [True, False])
def test_a_finalist_is_one_after_a_restart(fresh_service: Service, given_back: bool) -> None:
    service = fresh_service
    name = create_with_finalists(service)
    pause_all(service, name, [0.2, 0.5, 0.3, 0.4])
    service.restart()
    lease = service.claim_one(name)
    service.restart()
    if given_back:
        service.release(lease)
        service.restart()
        lease = service.claim_one(name)
    assert (lease["trial_number"], lease["rung_steps"]) == (1, [])
    assert service.claim(name) == []
    train(service, lease, 0.6)
    service.restart()
    assert service.study(name)["state"] == "finished"


def test_a_study_that_is_extended_has_new_finalists(service: Service) -> None:
    name = create_with_finalists(service)
    pause_all(service, name, [0.2, 0.5, 0.3, 0.4])
    finalist = service.claim_one(name)
    service.change(name, n_trials=5)
    pause(service, service.claim_one(name), 0, 0.9)
    train(service, service.claim_one(name), 0.95)
    train(service, finalist, 0.6)
    assert service.counts(name) == {"COMPLETE": 2, "PRUNED": 3}


def test_a_trial_that_violates_a_constraint_is_no_finalist(service: Service) -> None:
    name = create_with_finalists(service, constraints=[{"metric": "seconds", "max": 1.0}], n_trials=2)
    first, second = service.claim(name, max_trials=2)
    pause(service, first, 0, 0.9, seconds=2.0)
    pause(service, second, 0, 0.1, seconds=0.5)
    assert service.claim_one(name)["trial_number"] == second["trial_number"]


def test_of_several_objectives_the_first_counts(service: Service) -> None:
    objectives = [
        {"metric": "validation_loss", "direction": "minimize"},
        {"metric": "validation_accuracy", "direction": "maximize"},
    ]
    name = create_with_finalists(service, objectives=objectives, n_trials=2)
    first, second = service.claim(name, max_trials=2)
    pause(service, first, 0, 0.9, validation_loss=1.0)
    pause(service, second, 0, 0.1, validation_loss=0.5)
    assert service.claim_one(name)["trial_number"] == second["trial_number"]


def test_no_finalist_starts_after_an_early_end(service: Service) -> None:
    name = create_with_finalists(service, 2, target_value=0.6)
    pause_all(service, name, [0.2, 0.5, 0.3, 0.4])
    train(service, service.claim_one(name), 0.6)
    assert service.study(name)["finished_reason"] == "trial 1 reached target_value 0.6"
    assert service.counts(name) == {"COMPLETE": 1, "PRUNED": 3}

    stopped = create_with_finalists(service, 2)
    pause_all(service, stopped, [0.2, 0.5, 0.3, 0.4])
    service.change(stopped, state="stopped")
    assert (service.claim(stopped), service.counts(stopped)) == ([], {"PRUNED": 4})


def test_stock_optuna_reads_the_finalists_of_a_study(service: Service) -> None:
    name = create_with_finalists(service)
    pause_all(service, name, [0.2, 0.5, 0.3, 0.4])
    train(service, service.claim_one(name), 0.6)
    with stock_trials(service, name) as trials:
        assert [(one.state.name, one.value) for one in trials] == [
            ("PRUNED", 0.2),
            ("COMPLETE", 0.6),
            ("PRUNED", 0.3),
            ("PRUNED", 0.4),
        ]
