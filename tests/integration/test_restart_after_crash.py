"""A service that starts again on what a crash, or another tool, has left in its database."""

from datetime import timedelta
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from service.schemas.study.definition import Definition
from storage import EpochRecord, LeaseRecord, WorkerRecord
from tests.integration.service_driver import Json, Service, definition


def study_id(service: Service, name: str) -> int:
    return service.store.optuna.get_study_id_from_name(name)


def trial_id(service: Service, name: str, number: int) -> int:
    return service.store.optuna.get_trial_id_from_study_id_trial_number(study_id(service, name), number)


def lease_record(service: Service, name: str, number: int, **changes: Any) -> LeaseRecord:
    values: Json = {
        "lease_id": f"made-{number}",
        "study_id": study_id(service, name),
        "trial_id": trial_id(service, name, number),
        "trial_number": number,
        "attempt": 1,
        "claim_id": f"claim-{number}",
        "worker_id": "worker",
        "granted_at": service.clock.now(),
        **changes,
    }
    return LeaseRecord(**values)


def worker_record(service: Service) -> WorkerRecord:
    return WorkerRecord("worker", "", "", 1, service.clock.now(), service.clock.now())


def stored_lease(service: Service, lease: Json) -> LeaseRecord:
    record = service.store.leases.get(lease["lease_id"])
    assert record is not None
    return record


def test_a_study_without_the_trials_it_was_to_enqueue_gets_them(sqlite_service: Service) -> None:
    wanted = Definition.model_validate(definition(enqueue=[{"learning_rate": 0.01}, {"learning_rate": 0.02}]))
    written = wanted.model_dump(mode="json", exclude_unset=True)
    record = sqlite_service.store.create_study(wanted.name, written, 3, ["maximize"], sqlite_service.clock.now())
    optuna.load_study(study_name=wanted.name, storage=sqlite_service.store.optuna).enqueue_trial(
        {"learning_rate": 0.01}
    )

    sqlite_service.restart()

    assert sqlite_service.store.optuna.get_n_trials(record.study_id) == 2
    rates = [lease["params"]["learning_rate"] for lease in sqlite_service.claim(wanted.name, max_trials=2)]
    assert rates == [0.01, 0.02]


def test_a_trial_that_was_taken_but_never_granted_is_granted(fresh_service: Service) -> None:
    name = fresh_service.create(n_trials=2)
    bare = fresh_service.store.optuna.create_new_trial(study_id(fresh_service, name))
    half = fresh_service.store.optuna.create_new_trial(study_id(fresh_service, name))
    fresh_service.store.optuna.set_trial_param(
        half, "learning_rate", 0.05, optuna.distributions.FloatDistribution(1e-5, 0.1, log=True)
    )
    assert bare != half

    fresh_service.restart()

    leases = fresh_service.claim(name, max_trials=9)
    assert [(lease["trial_number"], lease["attempt"]) for lease in leases] == [(0, 1), (1, 1)]
    assert leases[1]["params"] == {"learning_rate": 0.05}


@pytest.mark.parametrize("optuna_was_told", [False, True])
def test_a_trial_that_was_being_put_back_is_put_back(fresh_service: Service, optuna_was_told: bool) -> None:
    name = fresh_service.create(n_trials=2)
    lease = fresh_service.claim_one(name)
    record = stored_lease(fresh_service, lease)
    if optuna_was_told:
        fresh_service.store.optuna.set_trial_state_values(record.trial_id, TrialState.WAITING)
    else:
        fresh_service.store.leases.end(record, "expire", "WAITING", "gone", fresh_service.clock.now())

    fresh_service.restart()

    again = fresh_service.claim_one(name)
    assert (again["trial_number"], again["params"]) == (0, lease["params"])
    assert again["attempt"] == (1 if optuna_was_told else 2)
    assert fresh_service.report(lease, 0) == "lost"
    assert fresh_service.report(again, 0) == "continue"
    assert fresh_service.counts(name) == {"RUNNING": 1}


def test_two_leases_of_one_trial_are_one_after_a_restart(sqlite_service: Service) -> None:
    """The database answered a grant with an error, and had kept it."""
    name = sqlite_service.create(n_trials=1)
    lease = sqlite_service.claim_one(name)
    earlier = lease_record(sqlite_service, name, 0, granted_at=sqlite_service.clock.now() - timedelta(seconds=5))
    sqlite_service.store.grant([earlier], worker_record(sqlite_service))

    sqlite_service.restart()

    assert sqlite_service.report({"lease_id": earlier.lease_id}, 0) == "lost"
    assert sqlite_service.report(lease, 0) == "continue"
    assert sqlite_service.complete(lease) == "COMPLETE"


def test_a_report_that_optuna_has_and_we_have_not_is_taken_again(sqlite_service: Service) -> None:
    name = sqlite_service.create(n_trials=1)
    lease = sqlite_service.claim_one(name)
    sqlite_service.store.optuna.set_trial_intermediate_value(trial_id(sqlite_service, name, 0), 0, 0.5)

    sqlite_service.restart()

    assert sqlite_service.report(lease, 0, 0.5) == "continue"
    assert sqlite_service.get(f"/studies/{name}/trials/0/curves")["steps"] == [0]


def test_a_prune_that_was_decided_but_not_carried_out_is_told_again(sqlite_service: Service) -> None:
    name = sqlite_service.create(n_trials=1)
    lease = sqlite_service.claim_one(name)
    record = stored_lease(sqlite_service, lease)
    sqlite_service.store.add_epoch(
        EpochRecord(record.trial_id, 0, record.study_id, record.lease_id, {"validation_accuracy": 0.1}, "prune")
    )

    sqlite_service.restart()

    assert sqlite_service.report(lease, 0, 0.1) == "prune"
    assert sqlite_service.complete(lease, 0.1) in ("PRUNED", "COMPLETE")
    assert sqlite_service.study(name)["state"] == "finished"


def test_a_study_that_was_being_deleted_is_deleted(fresh_service: Service) -> None:
    name = fresh_service.create()
    fresh_service.run(name)
    fresh_service.store.optuna.delete_study(study_id(fresh_service, name))

    fresh_service.restart()

    assert fresh_service.get("/studies")["studies"] == []
    assert fresh_service.create(name=name) == name
    assert fresh_service.counts(name) == {}


def test_a_trial_that_another_tool_ended_is_left_alone(sqlite_service: Service) -> None:
    name = sqlite_service.create(n_trials=3)
    lease = sqlite_service.claim_one(name)
    sqlite_service.release(lease)
    sqlite_service.store.optuna.set_trial_state_values(trial_id(sqlite_service, name, 0), TrialState.FAIL)

    assert sqlite_service.claim_one(name)["trial_number"] == 1
    sqlite_service.restart()
    assert sqlite_service.claim_one(name)["trial_number"] == 2


def test_a_database_with_studies_of_stock_optuna_serves_them_untouched(sqlite_service: Service) -> None:
    url = sqlite_service.url.replace("postgresql://", "postgresql+psycopg://")
    study = optuna.create_study(storage=url, study_name="theirs")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    study._storage._backend.engine.dispose()  # type: ignore[attr-defined]

    sqlite_service.restart()

    assert sqlite_service.get("/studies")["studies"] == []
    assert len(optuna.load_study(study_name="theirs", storage=sqlite_service.store.optuna).trials) == 2
    assert "theirs" in sqlite_service.http.get("/api/studies").text
