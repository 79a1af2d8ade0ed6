"""Nothing but the one trial of a final evaluation can speak of the test split."""

import pytest

from tests.integration.final_driver import SCORE, begin, complete, evaluated, final_of, post, searched
from tests.integration.service_driver import Json, Service, errors_of


def test_a_second_look_needs_a_reason_and_is_logged_as_one(service: Service) -> None:
    name = searched(service)
    first = evaluated(service, name)
    assert errors_of(post(service, name, force=True)) == {
        "reason": "reason must be given with force: it is kept with the record"
    }

    second = evaluated(service, name, force=True, reason="the labels were wrong")

    assert (second["number"], second["forced"], second["reason"]) == (2, True, "the labels were wrong")
    assert second["linked_study"] == f"{name}.final-2"
    assert second["earlier"] == [{key: first[key] for key in first if key not in ("study", "earlier")}]
    assert post(service, name).json() == second


def test_force_without_an_earlier_look_is_no_second_one(service: Service) -> None:
    name = searched(service)
    final = begin(service, name, top_k=1, n_seeds=1, force=True, reason="to be sure")
    assert (final["forced"], final["reason"]) == (False, None)
    assert post(service, name, force=True, reason="again").status_code == 202


def test_the_second_look_has_fresh_seeds(service: Service) -> None:
    name = searched(service)
    begin(service, name, top_k=1, n_seeds=1)
    seeds = set()
    for look in range(2):
        if look:
            begin(service, name, top_k=1, n_seeds=1, force=True, reason="once more")
        for metrics in ({}, SCORE):
            lease = service.claim_one(name)
            seeds.add(lease["seed"])
            assert complete(service, lease, **metrics).status_code == 200
    assert len(seeds) == 4


@pytest.mark.parametrize("metric", ["test_loss", "test_accuracy", "n_test_images", "test_anything"])
def test_an_ordinary_trial_cannot_speak_of_the_test_split(service: Service, metric: str) -> None:
    name = service.create()
    lease = service.claim_one(name)
    item = {"lease_id": lease["lease_id"], "step": 0, "metrics": {"validation_accuracy": 0.5, metric: 0.9}}

    reported = service.http.post("/v1/reports", json={"reports": [item]})
    completed = complete(service, lease, **{metric: 0.9})

    assert list(errors_of(reported)) == [f"reports.0.metrics.{metric}"]
    assert list(errors_of(completed)) == [f"metrics.{metric}"]
    trial = service.trial(name, 0)
    assert (trial["state"], trial["metrics"]) == ("RUNNING", {})


def test_neither_a_confirmation_nor_a_report_can(service: Service) -> None:
    name = searched(service)
    begin(service, name, top_k=1, n_seeds=1)
    lease = service.claim_one(name)
    assert set(errors_of(complete(service, lease, **SCORE))) == {f"metrics.{metric}" for metric in SCORE}
    service.complete(lease)
    test = service.claim_one(name)
    item = {"lease_id": test["lease_id"], "step": 0, "metrics": SCORE}
    assert set(errors_of(service.http.post("/v1/reports", json={"reports": [item]})))
    assert final_of(service, name)["state"] == "running"


def test_what_comes_after_a_prune_cannot_either(service: Service) -> None:
    name = service.create(n_trials=9, pruner={"name": "median", "n_startup_trials": 1, "n_warmup_steps": 0})
    service.run(name, value=0.9)
    lease = service.claim_one(name)
    assert service.report(lease, 0, 0.1) == "prune"
    assert errors_of(complete(service, lease, test_accuracy=0.9))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"test_loss": None}, "test_loss"),
        ({"test_accuracy": None}, "test_accuracy"),
        ({"n_test_images": None}, "n_test_images"),
        ({"test_accuracy": 1.5}, "test_accuracy"),
        ({"test_accuracy": "nan"}, "test_accuracy"),
        ({"n_test_images": 0}, "n_test_images"),
        ({"n_test_images": 0.5}, "n_test_images"),
        ({"n_test_images": "inf"}, "n_test_images"),
    ],
)
def test_the_tested_trial_must_bring_a_whole_score(service: Service, changes: Json, field: str) -> None:
    name = searched(service)
    begin(service, name, top_k=1, n_seeds=1)
    service.complete(service.claim_one(name))
    lease = service.claim_one(name)

    score = {key: value for key, value in {**SCORE, **changes}.items() if value is not None}

    assert list(errors_of(complete(service, lease, **score))) == [f"metrics.{field}"]
    assert final_of(service, name)["state"] == "running"


def test_an_infinite_test_loss_is_told_as_such(service: Service) -> None:
    name = searched(service)
    begin(service, name, top_k=1, n_seeds=1)
    service.complete(service.claim_one(name))
    assert complete(service, service.claim_one(name), **{**SCORE, "test_loss": "inf"}).status_code == 200
    assert final_of(service, name)["test_said"]["loss"] == "inf"


def test_the_tested_model_may_be_trained_on_validation_data_too(service: Service) -> None:
    training = {"dataset": "digits", "model": "mlp", "epochs": 30, "early_stopping": {"patience": 3}}
    name = searched(service, training=training)
    begin(service, name, top_k=1, n_seeds=3, train_on_validation=True)
    for value, best_epoch in ((0.9, 4), (0.7, 11), (0.8, 5)):
        lease = service.claim_one(name)
        assert lease["training"]["early_stopping"] is not None
        assert complete(service, lease, value, best_epoch=best_epoch).status_code == 200

    lease = service.claim_one(name)

    assert (lease["test"], lease["train_on_validation"]) == (True, True)
    assert lease["training"]["early_stopping"] is None
    assert lease["training"]["epochs"] == 6
    body = {"metrics": {"train_accuracy": 1.0, **SCORE}}
    assert service.http.post(f"/v1/leases/{lease['lease_id']}/complete", json=body).json() == {"state": "COMPLETE"}
    assert service.trial(f"{name}.final", 3)["values"] == [pytest.approx(0.8)]
    assert service.http.post(f"/v1/leases/{lease['lease_id']}/complete", json=body).json() == {"state": "COMPLETE"}
    assert final_of(service, name)["train_on_validation"]
