"""How a trial ends: complete with values, fail with a reason, release to the front."""

from typing import Any

import pytest

from tests.integration.service_driver import Json, Service, end, errors_of

SEVERAL = [
    {"metric": "validation_accuracy", "direction": "maximize"},
    {"metric": "n_parameters", "direction": "minimize"},
]


def test_a_complete_trial_has_its_value_and_all_metrics(each_service: Service) -> None:
    name = each_service.create()
    lease = each_service.claim_one(name)
    each_service.report(lease, 4, 0.5, train_loss=1.0)
    each_service.clock.advance(30)

    assert each_service.complete(lease, 0.75, metrics={"validation_accuracy": 0.75, "n_parameters": 9}) == "COMPLETE"

    trial = each_service.trial(name, 0)
    assert (trial["state"], trial["values"], trial["reason"], trial["step"]) == ("COMPLETE", [0.75], None, 4)
    assert trial["metrics"] == {"validation_accuracy": 0.75, "train_loss": 1.0, "n_parameters": 9.0}
    assert trial["attempts"][0]["outcome"] == "complete"
    assert trial["started_at"] <= trial["finished_at"]
    assert each_service.counts(name) == {"COMPLETE": 1}


def test_times_of_a_trial_come_from_one_clock(service: Service) -> None:
    name = service.create()
    lease = service.claim_one(name)
    service.clock.advance(30)
    service.complete(lease)

    trial = service.trial(name, 0)

    assert trial["duration_seconds"] == pytest.approx(30.0, abs=0.001)
    assert trial["finished_at"] == trial["attempts"][0]["ended_at"]


def test_values_come_first_then_metrics_then_the_last_report(service: Service) -> None:
    name = service.create()
    one, two, three = service.claim(name, max_trials=3)
    for lease in (one, two, three):
        service.report(lease, 0, 0.1)
        service.report(lease, 1, 0.2)

    service.complete(one, 0.3, values=[0.4])
    service.complete(two, 0.3)
    end(service, three, "complete", {})

    assert [trial["values"] for trial in service.trials(name)] == [[0.4], [0.3], [0.2]]


def test_several_values_in_the_order_of_the_objectives(each_service: Service) -> None:
    name = each_service.create(objectives=SEVERAL)
    one, other = each_service.claim(name, max_trials=2)

    each_service.complete(one, metrics={"n_parameters": 100, "validation_accuracy": 0.5})
    each_service.complete(other, values=["inf", -7], metrics={})

    assert [trial["values"] for trial in each_service.trials(name)] == [[0.5, 100.0], ["inf", -7.0]]


def test_a_missing_objective_is_named_and_the_trial_goes_on(service: Service) -> None:
    name = service.create(objectives=SEVERAL)
    lease = service.claim_one(name)

    errors = errors_of(end(service, lease, "complete", {"metrics": {"validation_accuracy": 0.5}}))

    assert list(errors) == ["metrics.n_parameters"]
    assert service.trial(name, 0)["state"] == "RUNNING"
    assert end(service, lease, "complete", {"values": [0.5, 3]}).json() == {"state": "COMPLETE"}


@pytest.mark.parametrize("values", [[], [0.5], [0.5, 1, 2], [0.5] * 9])
def test_there_must_be_one_value_for_each_objective(service: Service, values: list[float]) -> None:
    name = service.create(objectives=SEVERAL)
    lease = service.claim_one(name)

    assert "values" in errors_of(end(service, lease, "complete", {"values": values}))
    assert service.trial(name, 0)["state"] == "RUNNING"


def test_a_nan_objective_fails_the_trial_with_a_reason(each_service: Service) -> None:
    name = each_service.create()
    lease = each_service.claim_one(name)

    assert each_service.complete(lease, "nan") == "FAIL"
    assert each_service.complete(lease, "nan") == "FAIL"

    trial = each_service.trial(name, 0)
    assert (trial["state"], trial["values"]) == ("FAIL", None)
    assert trial["reason"] == "validation_accuracy is nan"
    assert trial["metrics"] == {"validation_accuracy": "nan"}
    assert each_service.claim_one(name)["trial_number"] == 1, "it is not tried again"


def test_a_nan_among_several_objectives_names_it(service: Service) -> None:
    name = service.create(objectives=SEVERAL)
    lease = service.claim_one(name)

    assert end(service, lease, "complete", {"values": [0.5, "nan"]}).json() == {"state": "FAIL"}
    assert service.trial(name, 0)["reason"] == "n_parameters is nan"


def test_infinite_objectives_are_values(each_service: Service) -> None:
    name = each_service.create()
    for value in ("inf", "-inf", 0.5):
        assert each_service.complete(each_service.claim_one(name), value) == "COMPLETE"

    assert [trial["values"] for trial in each_service.trials(name)] == [["inf"], ["-inf"], [0.5]]
    best = each_service.get(f"/studies/{name}/best")["trials"]
    assert [trial["values"] for trial in best] == [["inf"], [0.5], ["-inf"]]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (None, "body"),
        ([], "body"),
        ({"metrics": {"validation_accuracy": "high"}}, "metrics.validation_accuracy"),
        ({"metrics": {"validation_accuracy": 10**400}}, "metrics.validation_accuracy"),
        ({"values": "0.5"}, "values"),
        ({"values": [True]}, "values.0"),
        ({"values": [None]}, "values.0"),
        ({"values": [10**400]}, "values.0"),
    ],
)
def test_a_bad_completion_is_refused_and_the_trial_goes_on(service: Service, body: Any, field: str) -> None:
    name = service.create()
    lease = service.claim_one(name)

    assert field in errors_of(end(service, lease, "complete", body))
    assert service.trial(name, 0)["state"] == "RUNNING"


def test_a_failed_trial_keeps_its_reason(each_service: Service) -> None:
    name = each_service.create()
    lease = each_service.claim_one(name)
    reason = "loss is nan\n  at epoch 3: 日本 \0 end"

    assert each_service.fail(lease, reason) == "FAIL"

    trial = each_service.trial(name, 0)
    assert (trial["state"], trial["values"]) == ("FAIL", None)
    assert trial["reason"] == trial["attempts"][0]["reason"] == reason.replace("\0", "\ufffd")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "reason"),
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 4001}, "reason"),
        ({"reason": None}, "reason"),
        ({"reason": "x", "retry": "maybe"}, "retry"),
        ({"reason": "x", "retry": "yes"}, "retry"),
        ({"reason": "x", "retry": 1}, "retry"),
    ],
)
def test_a_failure_needs_a_reason(service: Service, body: Json, field: str) -> None:
    name = service.create()
    lease = service.claim_one(name)

    assert field in errors_of(end(service, lease, "fail", body))
    assert service.trial(name, 0)["state"] == "RUNNING"


def test_a_failure_that_may_pass_is_tried_again_until_attempts_are_used_up(each_service: Service) -> None:
    name = each_service.create(n_trials=1, max_attempts=2)
    first = each_service.claim_one(name)
    assert each_service.fail(first, "out of memory", retry=True) == "WAITING"
    assert each_service.fail(first, "out of memory", retry=True) == "WAITING"

    second = each_service.claim_one(name)
    assert (second["trial_number"], second["attempt"]) == (0, 2)
    assert second["params"] == first["params"]
    assert second["seed"] == first["seed"]
    assert each_service.fail(second, "out of memory again", retry=True) == "FAIL"

    trial = each_service.trial(name, 0)
    assert trial["reason"] == "attempt 1: out of memory; attempt 2: out of memory again"
    assert [attempt["reason"] for attempt in trial["attempts"]] == ["out of memory", "out of memory again"]
    assert each_service.claim(name) == []
    assert each_service.study(name)["state"] == "finished"


def test_a_released_trial_comes_back_at_the_front_and_counts_no_attempt(each_service: Service) -> None:
    name = each_service.create(max_attempts=1, enqueue=[{}, {}])
    lease = each_service.claim_one(name)
    each_service.report(lease, 0, 0.5)

    assert each_service.release(lease) == "WAITING"
    assert each_service.release(lease) == "WAITING"

    assert each_service.trial(name, 0)["step"] is None, "it starts from the beginning"
    again = each_service.claim_one(name)
    assert (again["trial_number"], again["attempt"], again["params"]) == (0, 1, lease["params"])
    assert again["lease_id"] != lease["lease_id"]
    assert each_service.release(lease) == "WAITING", "the old answer, and the new lease stays"
    assert each_service.report(again, 0, 0.7) == "continue"
    assert each_service.report(lease, 0, 0.5) == "lost"
    assert each_service.complete(again, 0.7) == "COMPLETE"
    trial = each_service.trial(name, 0)
    assert [attempt["outcome"] for attempt in trial["attempts"]] == ["release", "complete"]


def test_the_last_released_trial_comes_first(service: Service) -> None:
    name = service.create(n_trials=4)
    leases = service.claim(name, max_trials=3)
    for lease in leases:
        service.release(lease)

    assert [service.claim_one(name)["trial_number"] for _ in range(4)] == [2, 1, 0, 3]
