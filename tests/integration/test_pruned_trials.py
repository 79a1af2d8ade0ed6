"""Pruning: the decision that a report gets from the pruner, and how a pruned trial ends."""

from typing import Any

import pytest

from tests.integration.service_driver import Json, Service, code_of

MEDIAN = {"name": "median", "n_startup_trials": 2, "n_warmup_steps": 1}


def after_two_good_trials(service: Service, **changes: Any) -> tuple[str, Json]:
    name = service.create(n_trials=9, pruner=MEDIAN, **changes)
    for value in (0.8, 0.9):
        lease = service.claim_one(name)
        for step in range(4):
            assert service.report(lease, step, value) == "continue"
        service.complete(lease, value)
    return name, service.claim_one(name)


def test_a_trial_worse_than_the_median_is_pruned(each_service: Service) -> None:
    name, lease = after_two_good_trials(each_service)
    assert each_service.report(lease, 0, 0.1) == "continue", "no pruning while warming up"

    assert each_service.report(lease, 1, 0.2, train_loss=2.0) == "prune"

    trial = each_service.trial(name, 2)
    assert (trial["state"], trial["values"], trial["reason"]) == ("PRUNED", None, None)
    assert trial["metrics"] == {"validation_accuracy": 0.2, "train_loss": 2.0}
    assert trial["attempts"][0]["outcome"] == "prune"
    assert trial["finished_at"] is not None
    assert each_service.report(lease, 1, 0.2, train_loss=2.0) == "prune", "the same again"
    assert each_service.report(lease, 2, 0.9) == "prune", "it was on its way"
    assert each_service.get(f"/studies/{name}/trials/2/curves")["steps"] == [0, 1]


def test_a_trial_that_has_trained_to_its_end_is_complete_however_bad(each_service: Service) -> None:
    training = {"dataset": "digits", "model": "mlp", "epochs": 4}
    name, lease = after_two_good_trials(each_service, training=training)
    assert each_service.report(lease, 3, 0.1) == "continue", "its last epoch"
    assert each_service.complete(lease, 0.1) == "COMPLETE"
    assert each_service.trial(name, 2)["values"] == [0.1]


def test_the_last_epoch_is_the_trials_own(service: Service) -> None:
    space = {"epochs": {"type": "int", "low": 2, "high": 8}}
    enqueue = [{"epochs": 8}, {"epochs": 8}, {"epochs": 3}]
    training = {"dataset": "digits", "model": "mlp"}
    _, lease = after_two_good_trials(service, training=training, search_space=space, enqueue=enqueue)
    assert service.report(lease, 2, 0.1) == "continue"


def test_a_trial_better_than_the_median_goes_on(service: Service) -> None:
    _, lease = after_two_good_trials(service)

    assert [service.report(lease, step, 0.95) for step in range(5)] == ["continue"] * 5


def test_pruning_minds_the_direction(service: Service) -> None:
    objectives = [{"metric": "validation_accuracy", "direction": "minimize"}]
    _, lease = after_two_good_trials(service, objectives=objectives)

    assert service.report(lease, 1, 0.1) == "continue"
    assert service.report(lease, 2, 0.99) == "continue", "its best value so far counts"
    _, lease = after_two_good_trials(service, objectives=objectives)
    assert service.report(lease, 1, 0.99) == "prune"


def test_a_pruned_trial_may_still_hand_in_its_final_metrics(each_service: Service) -> None:
    name, lease = after_two_good_trials(each_service)
    each_service.report(lease, 1, 0.1)

    assert each_service.complete(lease, 0.1, metrics={"n_parameters": 5, "validation_accuracy": 0.1}) == "PRUNED"

    trial = each_service.trial(name, 2)
    assert (trial["state"], trial["values"]) == ("PRUNED", None)
    assert trial["metrics"] == {"validation_accuracy": 0.1, "n_parameters": 5.0}


@pytest.mark.parametrize("how", ["fail", "release"])
def test_a_pruned_trial_cannot_end_in_another_way(service: Service, how: str) -> None:
    _, lease = after_two_good_trials(service)
    service.report(lease, 1, 0.1)

    response = service.http.post(f"/v1/leases/{lease['lease_id']}/{how}", json={"reason": "x"})

    assert code_of(response, 409) == "lease_closed"


def test_several_objectives_are_not_pruned_without_a_pruner(service: Service) -> None:
    name = service.create(
        n_trials=9,
        pruner="none",
        objectives=[
            {"metric": "validation_accuracy", "direction": "maximize"},
            {"metric": "validation_loss", "direction": "minimize"},
        ],
    )
    for _ in range(7):
        lease = service.claim_one(name)
        assert service.report(lease, 3, 0.1, validation_loss=5.0) == "continue"
        service.complete(lease, 0.1, metrics={"validation_accuracy": 0.1, "validation_loss": 5.0})
