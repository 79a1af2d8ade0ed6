"""What the service says about how the trials of a study learn."""

import threading
from collections.abc import Sequence

import pytest

from service.diagnosis.curve_pair import CurvePair
from tests.integration.service_driver import Json, Service, code_of, errors_of
from tests.unit.service.diagnosis.curves import FALLING, HEALTHY, LOW, SHORT


def train(service: Service, name: str, curves: CurvePair) -> Json:
    """Claim a trial and report its curves."""
    lease = service.claim_one(name)
    for step, value, train_value in zip(curves.steps, curves.validation, curves.train, strict=True):
        service.report(lease, step, value, train_accuracy=train_value)
    return lease


def run(service: Service, name: str, every: Sequence[CurvePair]) -> None:
    for curves in every:
        service.complete(train(service, name, curves), curves.validation[-1])


def verdicts(diagnosis: Json) -> dict[int, str]:
    return {trial["number"]: trial["verdict"] for trial in diagnosis["trials"]}


def test_trials_that_have_begun_get_a_verdict_each(each_service: Service) -> None:
    name = each_service.create(n_trials=9)
    run(each_service, name, [HEALTHY, FALLING, LOW, SHORT])
    each_service.fail(train(each_service, name, SHORT), "train_loss is nan at epoch 2")
    each_service.fail(each_service.claim_one(name), "it broke")
    train(each_service, name, HEALTHY)  # it runs

    found = each_service.get(f"/studies/{name}/diagnosis")

    assert (found["study"], found["n_left_out"]) == (name, 0)
    assert (found["train_metric"], found["validation_metric"]) == ("train_accuracy", "validation_accuracy")
    assert verdicts(found) == {
        0: "healthy",
        1: "overfitting",
        2: "underfitting",
        3: "unclear",
        4: "diverged",
        5: "unclear",
        6: "healthy",
    }
    assert found["counts"] == {"overfitting": 1, "underfitting": 1, "diverged": 1, "healthy": 2, "unclear": 2}
    assert [trial["state"] for trial in found["trials"]] == [*["COMPLETE"] * 4, "FAIL", "FAIL", "RUNNING"]
    assert found["trials"][5]["because"] == "no train/validation curves"
    assert all(advice["message"] for advice in found["advice"])


def test_the_figures_are_in_the_metrics_unit(service: Service) -> None:
    name = service.create(objectives=[{"metric": "validation_loss", "direction": "minimize"}])
    lease = service.claim_one(name)
    for step, (train_loss, loss) in enumerate([(2.0, 2.0), (1.0, 1.6), (0.5, 1.2), (0.2, 1.6), (0.1, 2.0), (0.0, 2.4)]):
        service.report(lease, step, 0.5, train_loss=train_loss, validation_loss=loss)

    (trial,) = service.get(f"/studies/{name}/diagnosis")["trials"]

    assert trial["verdict"] == "overfitting"
    assert (trial["best_epoch"], trial["best_validation"], trial["n_epochs"]) == (2, 1.2, 6)
    assert trial["train"] == pytest.approx(0.1)
    assert trial["validation"] == pytest.approx(2.0)
    assert trial["gap"] == pytest.approx(1.9)
    assert trial["fall"] == pytest.approx(0.8)
    assert trial["gap_slope"] == pytest.approx(0.56)


def test_metrics_without_a_twin_have_no_train_and_validation_curves(service: Service) -> None:
    name = service.create()
    service.run(name, 2)

    found = service.get(f"/studies/{name}/diagnosis")

    assert {trial["because"] for trial in found["trials"]} == {"no train/validation curves"}
    assert found["counts"]["unclear"] == 2


def test_a_study_without_trials_has_nothing_to_judge(service: Service) -> None:
    found = service.get(f"/studies/{service.create()}/diagnosis")

    assert found["trials"] == []
    assert [advice["message"] for advice in found["advice"]] == ["Trials that can be judged so far: 0; advice needs 5."]


def test_the_newest_trials_are_looked_at(service: Service) -> None:
    name = service.create(n_trials=5)
    run(service, name, [HEALTHY] * 5)

    found = service.get(f"/studies/{name}/diagnosis", limit=2)

    assert list(verdicts(found)) == [3, 4]
    assert found["n_left_out"] == 3


def test_another_limit_and_another_study_are_refused(service: Service) -> None:
    name = service.create()

    assert "limit" in errors_of(service.http.get(f"/v1/studies/{name}/diagnosis", params={"limit": 0}))
    assert code_of(service.http.get("/v1/studies/x/diagnosis"), 404) == "study_not_found"


def test_reports_are_answered_while_a_diagnosis_is_made(service: Service) -> None:
    name = service.create(n_trials=2)
    run(service, name, [HEALTHY])
    lease = service.claim_one(name)
    found: list[Json] = []
    asking = threading.Thread(target=lambda: found.extend(service.get(f"/studies/{name}/diagnosis") for _ in range(20)))

    asking.start()
    decisions = {service.report(lease, step, 0.5, train_accuracy=0.6) for step in range(20)}
    asking.join()

    assert decisions == {"continue"}
    assert len(found) == 20
    assert all(verdicts(one)[0] == "healthy" for one in found)
