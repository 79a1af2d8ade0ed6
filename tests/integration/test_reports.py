"""Reports: kept once, answered with a decision, refused when they contradict."""

import json
import math
import threading
from typing import Any

import optuna
import pytest

from service.leases import epoch_reports
from tests.integration.service_driver import Json, Service, code_of, errors_of


def send(service: Service, *reports: Json) -> Any:
    return service.http.post("/v1/reports", json={"reports": list(reports)})


def item(lease: Json, step: Any, **metrics: Any) -> Json:
    return {"lease_id": lease["lease_id"], "step": step, "metrics": metrics}


def test_reports_become_curves(each_service: Service) -> None:
    name = each_service.create()
    lease = each_service.claim_one(name)
    each_service.report(lease, 0, 0.5, train_loss=1.5)
    each_service.report(lease, 1, 0.75)
    each_service.report(lease, 2, "nan", train_loss="inf", seconds=3)

    assert each_service.get(f"/studies/{name}/trials/0/curves") == {
        "steps": [0, 1, 2],
        "metrics": {
            "validation_accuracy": [0.5, 0.75, "nan"],
            "train_loss": [1.5, None, "inf"],
            "seconds": [None, None, 3.0],
        },
    }
    trial = each_service.trial(name, 0)
    assert trial["step"] == 2
    assert trial["metrics"] == {"validation_accuracy": "nan", "train_loss": "inf", "seconds": 3.0}


def test_curves_of_a_trial_without_reports_are_empty(service: Service) -> None:
    name = service.create()
    service.claim_one(name)

    assert service.get(f"/studies/{name}/trials/0/curves") == {"steps": [], "metrics": {}}


def test_the_objective_becomes_an_intermediate_value(each_service: Service) -> None:
    name = each_service.create()
    lease = each_service.claim_one(name)
    for step, value in enumerate([0.5, "nan", "inf", "-inf"]):
        each_service.report(lease, step, value)

    study = optuna.load_study(study_name=name, storage=each_service.store.optuna)
    values = study.trials[0].intermediate_values
    assert (values[0], values[2], values[3]) == (0.5, math.inf, -math.inf)
    assert math.isnan(values[1])


def test_the_same_report_again_gets_the_same_decision(each_service: Service) -> None:
    name = each_service.create()
    lease = each_service.claim_one(name)

    assert [each_service.report(lease, 0, "nan") for _ in range(3)] == ["continue"] * 3

    assert each_service.get(f"/studies/{name}/trials/0/curves")["steps"] == [0]


def test_the_same_step_with_other_metrics_conflicts_and_keeps_the_first(each_service: Service) -> None:
    name = each_service.create()
    lease = each_service.claim_one(name)
    each_service.report(lease, 0, 0.5)

    for other in ({"validation_accuracy": 0.6}, {"train_loss": 0.5}, {"validation_accuracy": 0.5, "train_loss": 1.0}):
        assert code_of(send(each_service, item(lease, 0, **other)), 409) == "report_conflict"

    assert each_service.get(f"/studies/{name}/trials/0/curves")["metrics"] == {"validation_accuracy": [0.5]}


def test_a_conflict_in_a_batch_keeps_none_of_it(each_service: Service) -> None:
    name = each_service.create()
    one, other = each_service.claim(name, max_trials=2)
    each_service.report(one, 0, 0.5)

    response = send(each_service, item(other, 0, train_loss=1.0), item(one, 0, validation_accuracy=0.6))

    assert code_of(response, 409) == "report_conflict"
    assert each_service.get(f"/studies/{name}/trials/1/curves")["steps"] == []


def test_a_batch_that_contradicts_itself_is_refused(service: Service) -> None:
    name = service.create()
    lease = service.claim_one(name)

    response = send(service, item(lease, 0, validation_accuracy=0.5), item(lease, 0, validation_accuracy=0.6))

    assert code_of(response, 409) == "report_conflict"
    assert service.get(f"/studies/{name}/trials/0/curves")["steps"] == []


def test_a_batch_is_answered_in_its_order(service: Service) -> None:
    name = service.create()
    one, other = service.claim(name, max_trials=2)
    ended = {"lease_id": "f" * 32}

    response = send(
        service,
        item(other, 3, validation_accuracy=0.5),
        item(ended, 0, validation_accuracy=0.5),
        item(one, 0, validation_accuracy=0.5),
        item(other, 4, validation_accuracy=0.5),
        item(other, 3, validation_accuracy=0.5),
    )

    assert response.json()["decisions"] == [
        {"lease_id": other["lease_id"], "step": 3, "decision": "continue"},
        {"lease_id": ended["lease_id"], "step": 0, "decision": "lost"},
        {"lease_id": one["lease_id"], "step": 0, "decision": "continue"},
        {"lease_id": other["lease_id"], "step": 4, "decision": "continue"},
        {"lease_id": other["lease_id"], "step": 3, "decision": "continue"},
    ]


def test_steps_may_come_out_of_order(each_service: Service) -> None:
    name = each_service.create()
    lease = each_service.claim_one(name)
    for step in (5, 0, 2**31 - 1):
        each_service.report(lease, step, step / 10)

    assert each_service.get(f"/studies/{name}/trials/0/curves")["steps"] == [0, 5, 2**31 - 1]
    assert each_service.trial(name, 0)["step"] == 2**31 - 1


def test_a_report_without_the_objective_is_kept_and_not_pruned(service: Service) -> None:
    name = service.create(pruner={"name": "threshold", "lower": 0.9})
    lease = service.claim_one(name)

    response = send(service, item(lease, 0, train_loss=1.0))

    assert response.json()["decisions"][0]["decision"] == "continue"


@pytest.mark.parametrize(
    ("report", "field"),
    [
        ({"lease_id": ""}, "reports.0.lease_id"),
        ({"lease_id": "x" * 65}, "reports.0.lease_id"),
        ({"lease_id": "a\0b"}, "reports.0.lease_id"),
        ({"lease_id": None}, "reports.0.lease_id"),
        ({"step": -1}, "reports.0.step"),
        ({"step": 2**31}, "reports.0.step"),
        ({"step": 0.0}, "reports.0.step"),
        ({"step": "0"}, "reports.0.step"),
        ({"step": True}, "reports.0.step"),
        ({"metrics": {}}, "reports.0.metrics"),
        ({"metrics": None}, "reports.0.metrics"),
        ({"metrics": {"validation_accuracy": None}}, "reports.0.metrics.validation_accuracy"),
        ({"metrics": {"validation_accuracy": "0.5"}}, "reports.0.metrics.validation_accuracy"),
        ({"metrics": {"validation_accuracy": "NaN"}}, "reports.0.metrics.validation_accuracy"),
        ({"metrics": {"validation_accuracy": True}}, "reports.0.metrics.validation_accuracy"),
        ({"metrics": {"validation_accuracy": [0.5]}}, "reports.0.metrics.validation_accuracy"),
        ({"metrics": {"validation_accuracy": 10**400}}, "reports.0.metrics.validation_accuracy"),
        ({"metrics": {"": 0.5}}, "reports.0.metrics."),
        ({"metrics": {"m" * 129: 0.5}}, "reports.0.metrics." + "m" * 129),
        ({"metrics": {f"m{index}": 0.5 for index in range(101)}}, "reports.0.metrics"),
    ],
)
def test_a_bad_report_is_refused_and_not_kept(service: Service, report: Json, field: str) -> None:
    name = service.create()
    lease = service.claim_one(name)

    response = send(service, {**item(lease, 0, validation_accuracy=0.5), **report})

    assert field in errors_of(response)
    assert service.trial(name, 0)["step"] is None


@pytest.mark.parametrize("body", [{}, {"reports": []}, {"reports": {}}, {"reports": [1]}, [], None])
def test_reports_that_are_none_are_refused(service: Service, body: Any) -> None:
    assert errors_of(service.http.post("/v1/reports", json=body))


def test_any_name_of_a_metric_is_kept(each_service: Service) -> None:
    name = each_service.create()
    lease = each_service.claim_one(name)
    metrics = {"日本": 1.0, "a\0b": 2.0, 'quote"': 3.0, "-0": -0.0, "small": 5e-324, "large": 1.7976931348623157e308}

    assert send(each_service, item(lease, 0, **metrics)).status_code == 200

    assert each_service.trial(name, 0)["metrics"] == metrics


def test_a_nan_literal_is_taken_for_nan(service: Service) -> None:
    name = service.create()
    lease = service.claim_one(name)
    content = json.dumps({"reports": [item(lease, 0, validation_accuracy=float("nan"))]})
    assert "NaN" in content

    response = service.http.post("/v1/reports", content=content, headers={"content-type": "application/json"})

    assert response.status_code == 200
    assert service.trial(name, 0)["metrics"] == {"validation_accuracy": "nan"}


def test_of_two_different_reports_of_a_step_at_once_one_is_kept(sqlite_service: Service) -> None:
    lease = sqlite_service.claim_one(sqlite_service.create())
    live = sqlite_service.app.state.registry.every()[0]
    statuses: list[int] = []

    def report(value: float) -> None:
        item = {"lease_id": lease["lease_id"], "step": 0, "metrics": {"validation_accuracy": value}}
        statuses.append(sqlite_service.http.post("/v1/reports", json={"reports": [item]}).status_code)

    threads = [threading.Thread(target=report, args=(value,)) for value in (0.1, 0.2, 0.3)]
    with live.lock:  # as a sampler's result is written: the calls gather
        for thread in threads:
            thread.start()
        threads[0].join(0.3)
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200, 409, 409]


def test_an_attempt_has_a_limited_number_of_metrics(service: Service) -> None:
    lease, first = service.claim_one(service.create()), service.claim_one(service.create())
    names = iter(f"metric {number}" for number in range(1000))

    def report(step: int, n_new: int, *more: Json) -> Any:
        metrics = dict.fromkeys([next(names) for _ in range(n_new)], 0.5)
        items = [{"lease_id": lease["lease_id"], "step": step, "metrics": metrics}, *more]
        return service.http.post("/v1/reports", json={"reports": items})

    assert [report(step, 100).status_code for step in range(4)] == [200] * 4
    assert report(4, 90, {"lease_id": first["lease_id"], "step": 0, "metrics": {"loss": 0.5}}).status_code == 200
    refused = report(5, 11, {"lease_id": first["lease_id"], "step": 1, "metrics": {"loss": 0.5}})

    assert refused.status_code == 422
    assert refused.json()["errors"] == [
        {
            "field": "reports.0.metrics",
            "message": "the reports of an attempt may have at most 500 different metrics: 501 with this report",
        }
    ]
    assert service.trial(first["study"], 0)["step"] == 0, "none of the reports of the call is kept"
    service.restart()
    assert report(5, 11).status_code == 422
    assert report(5, 10).status_code == 200


def test_an_attempt_with_more_metrics_than_now_allowed_goes_on(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = service.claim_one(service.create())
    metrics = dict.fromkeys([f"metric {number}" for number in range(20)], 0.5)
    assert send(service, item(lease, 0, **metrics)).status_code == 200
    monkeypatch.setattr(epoch_reports, "MAX_METRICS_OF_ATTEMPT", 10)

    assert send(service, item(lease, 0, **metrics)).status_code == 200, "a repeated report gets its answer again"
    assert send(service, item(lease, 1, **metrics)).status_code == 200
    assert list(errors_of(send(service, item(lease, 2, another=0.5)))) == ["reports.0.metrics"]
