"""A trial that is tried again goes on from its checkpoint: what it reported up to there stays, the rest does not."""

from collections.abc import Callable

import pytest

from tests.integration.service_driver import LEASE_SECONDS, Json, Service, code_of

INTERRUPTIONS: dict[str, Callable[[Service, Json], object]] = {
    "expire": lambda service, _: service.clock.advance(LEASE_SECONDS),
    "release": lambda service, lease: service.release(lease),
    "fail": lambda service, lease: service.fail(lease, "out of memory", retry=True),
}


def begin(service: Service, *, n_epochs: int, checkpoint: int | None, **changes: object) -> tuple[str, Json]:
    """A study with one trial that has reported epochs, 0.0, 0.1, …, and left a checkpoint after one of them."""
    study = service.create(n_trials=1, **changes)
    lease = service.claim_one(study)
    for step in range(n_epochs):
        assert service.report(lease, step, step / 10) == "continue"
        if step == checkpoint:
            service.upload(lease, "checkpoint", b"weights of the first attempt", step)
    return study, lease


def steps(service: Service, study: str) -> list[int]:
    found: list[int] = service.get(f"/studies/{study}/trials/0/curves")["steps"]
    return found


def intermediate_values(service: Service, study: str) -> dict[int, float]:
    store = service.store.optuna
    (trial,) = store.get_all_trials(store.get_study_id_from_name(study))
    return dict(trial.intermediate_values)


@pytest.mark.parametrize("how", INTERRUPTIONS)
def test_a_trial_goes_on_after_its_checkpoint(each_service: Service, how: str) -> None:
    study, lease = begin(each_service, n_epochs=5, checkpoint=2)
    INTERRUPTIONS[how](each_service, lease)

    again = each_service.claim_one(study)

    assert again["resume"] == {"step": 2, "artifact": "checkpoint"}
    assert (again["trial_number"], again["attempt"]) == (0, 1 if how == "release" else 2)
    assert (again["params"], again["seed"]) == (lease["params"], lease["seed"])
    assert steps(each_service, study) == [0, 1, 2]
    assert intermediate_values(each_service, study) == {0: 0.0, 1: 0.1, 2: 0.2}
    assert each_service.download(study, 0, again["resume"]["artifact"]) == b"weights of the first attempt"

    assert [each_service.report(again, step, 0.7) for step in (3, 4)] == ["continue"] * 2
    assert each_service.complete(again, 0.8) == "COMPLETE"
    assert intermediate_values(each_service, study) == {0: 0.0, 1: 0.1, 2: 0.2, 3: 0.7, 4: 0.7}
    trial = each_service.trial(study, 0)
    assert (trial["values"], trial["step"]) == ([0.8], 4)
    assert each_service.artifacts(study, 0) == []


@pytest.mark.parametrize("how", INTERRUPTIONS)
def test_a_trial_without_a_checkpoint_starts_again(service: Service, how: str) -> None:
    study, lease = begin(service, n_epochs=3, checkpoint=None)
    service.upload(lease, "model", b"not a checkpoint", 1)
    INTERRUPTIONS[how](service, lease)

    again = service.claim_one(study)

    assert again["resume"] is None
    assert (steps(service, study), intermediate_values(service, study)) == ([], {})
    assert service.report(again, 0, 0.9) == "continue"
    assert [found["name"] for found in service.artifacts(study, 0)] == ["model"]


def test_a_trial_goes_on_after_a_restart_of_the_service(fresh_service: Service) -> None:
    study, lease = begin(fresh_service, n_epochs=4, checkpoint=1)
    fresh_service.clock.advance(LEASE_SECONDS)
    assert fresh_service.study(study)["trial_counts"]["WAITING"] == 1

    fresh_service.restart()

    again = fresh_service.claim_one(study)
    assert again["resume"] == {"step": 1, "artifact": "checkpoint"}
    assert intermediate_values(fresh_service, study) == {0: 0.0, 1: 0.1}
    fresh_service.restart()
    assert fresh_service.report(lease, 1, 0.1) == "lost"
    assert fresh_service.report(again, 2, 0.5) == "continue"
    assert steps(fresh_service, study) == [0, 1, 2]
    assert fresh_service.download(study, 0, "checkpoint") == b"weights of the first attempt"


def test_a_repeated_claim_is_told_where_to_go_on(service: Service) -> None:
    study, lease = begin(service, n_epochs=2, checkpoint=1)
    service.release(lease)
    body = {"claim_id": f"again-{study}", "worker": {"id": "w"}, "study": study}

    first, second = (service.http.post("/v1/claims", json=body).json()["leases"] for _ in range(2))

    assert first == second
    assert first[0]["resume"] == {"step": 1, "artifact": "checkpoint"}


def test_each_attempt_goes_on_from_the_last_checkpoint_of_any(service: Service) -> None:
    study, lease = begin(service, n_epochs=3, checkpoint=1, max_attempts=4)
    service.clock.advance(LEASE_SECONDS)
    second = service.claim_one(study)
    service.clock.advance(LEASE_SECONDS)
    third = service.claim_one(study)
    assert second["resume"] == third["resume"] == {"step": 1, "artifact": "checkpoint"}
    service.report(third, 2, 0.9)
    service.upload(third, "checkpoint", b"later", 2)
    service.report(third, 3, 0.9)
    service.clock.advance(LEASE_SECONDS)

    fourth = service.claim_one(study)

    assert fourth["resume"] == {"step": 2, "artifact": "checkpoint"}
    assert steps(service, study) == [0, 1, 2]
    assert service.artifacts(study, 0)[0]["attempt"] == 3
    assert service.report(lease, 4) == service.report(second, 4) == service.report(third, 4) == "lost"


@pytest.mark.parametrize("how", INTERRUPTIONS)
def test_the_earlier_worker_is_told_that_its_lease_is_lost_whatever_it_repeats(each_service: Service, how: str) -> None:
    study, lease = begin(each_service, n_epochs=4, checkpoint=2)
    INTERRUPTIONS[how](each_service, lease)
    again = each_service.claim_one(study)

    for step, value in ((0, 0.0), (2, 0.2), (2, 0.99), (3, 0.3)):
        assert each_service.report(lease, step, value) == "lost"
    response = each_service.http.put(f"/v1/artifacts/{lease['lease_id']}/checkpoint?step=3", content=b"late")
    assert code_of(response, 409) == ("lease_lost" if how == "expire" else "lease_closed")

    assert each_service.download(study, 0, "checkpoint") == b"weights of the first attempt"
    assert intermediate_values(each_service, study) == {0: 0.0, 1: 0.1, 2: 0.2}
    assert each_service.report(again, 3, 0.4) == "continue"


def test_a_worker_that_cannot_use_the_checkpoint_may_start_again(each_service: Service) -> None:
    """Its reports of earlier steps take the place of the first attempt's, and are safe to repeat."""
    study, _ = begin(each_service, n_epochs=3, checkpoint=2)
    each_service.clock.advance(LEASE_SECONDS)
    again = each_service.claim_one(study)

    for _ in range(2):
        assert each_service.report(again, 0, 0.5) == "continue"
    item = {"lease_id": again["lease_id"], "step": 0, "metrics": {"validation_accuracy": 0.6}}
    assert code_of(each_service.http.post("/v1/reports", json={"reports": [item]}), 409) == "report_conflict"

    assert intermediate_values(each_service, study) == {0: 0.5, 1: 0.1, 2: 0.2}
    each_service.upload(again, "checkpoint", b"of the second attempt", 0)
    each_service.clock.advance(LEASE_SECONDS)
    assert each_service.claim_one(study)["resume"] == {"step": 0, "artifact": "checkpoint"}
    assert intermediate_values(each_service, study) == {0: 0.5}


def test_a_trial_that_has_nothing_left_to_train_ends_with_what_it_had_reported(service: Service) -> None:
    study, lease = begin(service, n_epochs=3, checkpoint=2)
    service.release(lease)
    again = service.claim_one(study)

    response = service.http.post(f"/v1/leases/{again['lease_id']}/complete", json={"metrics": {}})

    assert response.json() == {"state": "COMPLETE"}
    assert service.trial(study, 0)["values"] == [0.2]


def test_a_pruner_sees_the_epochs_before_the_checkpoint(service: Service) -> None:
    pruner = {"name": "patient", "patience": 1, "wrapped_pruner": {"name": "threshold", "lower": 0.5}}
    study = service.create(n_trials=1, pruner=pruner)
    lease = service.claim_one(study)
    for step, value in enumerate((0.45, 0.44)):
        assert service.report(lease, step, value) == "continue"
    service.upload(lease, "checkpoint", b"weights", 1)
    service.release(lease)

    assert service.report(service.claim_one(study), 2, 0.43) == "prune", "it has not got better for three epochs"


def test_a_trial_that_failed_for_good_is_not_resumed(service: Service) -> None:
    study, lease = begin(service, n_epochs=2, checkpoint=1, max_attempts=1)
    service.clock.advance(LEASE_SECONDS)

    assert service.claim(study) == []
    assert service.counts(study) == {"FAIL": 1}
    assert service.artifacts(study, 0) == []
    assert service.report(lease, 0, 0.0) == "lost"
