"""A service that starts again on the same database goes on where the last one stopped."""

import itertools

import pytest

from tests.integration.service_driver import LEARNING_RATE, LEASE_SECONDS, Service, definition

SMALL = {
    "nesterov": {"type": "categorical", "choices": [True, False]},
    "batch_size": {"type": "int", "low": 16, "high": 48, "step": 16},
}


def test_studies_trials_and_results_are_the_same_after_a_restart(fresh_service: Service) -> None:
    name = fresh_service.create(n_trials=9, enqueue=[{"learning_rate": 0.01}])
    paused = fresh_service.create()
    fresh_service.change(paused, state="paused")
    stopped = fresh_service.create()
    fresh_service.change(stopped, state="stopped")
    fresh_service.run(name, 2)
    fresh_service.fail(fresh_service.claim_one(name), "broken")
    running = fresh_service.claim_one(name)
    fresh_service.report(running, 0, "nan", train_loss="inf")
    fresh_service.http.post(f"/v1/studies/{name}/trials", json={"params": {"learning_rate": 0.05}})
    paths = ["/studies", f"/studies/{name}/trials", f"/studies/{name}/trials/3/curves", f"/studies/{name}/best"]
    before = [fresh_service.get(path) for path in paths]

    fresh_service.restart()

    assert [fresh_service.get(path) for path in paths] == before
    assert fresh_service.claim_one(name)["params"] == {"learning_rate": 0.05}


def test_open_leases_live_on_with_a_fresh_term(sqlite_service: Service) -> None:
    name = sqlite_service.create(n_trials=2)
    lease = sqlite_service.claim_one(name)
    sqlite_service.report(lease, 0, 0.5)
    sqlite_service.clock.advance(LEASE_SECONDS - 1)

    sqlite_service.restart()

    sqlite_service.clock.advance(LEASE_SECONDS - 1)
    assert sqlite_service.report(lease, 0, 0.5) == "continue", "the same report again"
    assert sqlite_service.report(lease, 1, 0.6) == "continue"
    assert sqlite_service.complete(lease, 0.7) == "COMPLETE"
    assert sqlite_service.get(f"/studies/{name}/trials/0/curves")["steps"] == [0, 1]


def test_a_lease_of_a_worker_that_died_meanwhile_expires_after_its_fresh_term(sqlite_service: Service) -> None:
    service = sqlite_service
    name = service.create(n_trials=1)
    service.claim_one(name)
    service.restart()
    service.clock.advance(LEASE_SECONDS)

    assert service.claim_one(name)["attempt"] == 2


def test_every_worker_call_can_be_repeated_after_a_restart(fresh_service: Service) -> None:
    name = fresh_service.create(n_trials=9)
    body = {"claim_id": "the-claim", "worker": {"id": "w"}, "study": name, "max_trials": 4}
    claimed = fresh_service.http.post("/v1/claims", json=body).json()
    done, failed, released, expired = claimed["leases"]
    fresh_service.complete(done, 0.5)
    fresh_service.fail(failed, "broken")
    fresh_service.release(released)
    fresh_service.clock.advance(LEASE_SECONDS)
    assert fresh_service.report(expired, 0) == "lost"

    fresh_service.restart()

    again = fresh_service.http.post("/v1/claims", json=body).json()
    assert [lease["lease_id"] for lease in again["leases"]] == [lease["lease_id"] for lease in claimed["leases"]]
    assert [lease["params"] for lease in again["leases"]] == [lease["params"] for lease in claimed["leases"]]
    assert fresh_service.complete(done, 0.5) == "COMPLETE"
    assert fresh_service.fail(failed, "broken") == "FAIL"
    assert fresh_service.release(released) == "WAITING"
    assert fresh_service.report(expired, 0) == "lost"
    assert fresh_service.counts(name) == {"COMPLETE": 1, "FAIL": 1, "WAITING": 2}
    assert sorted(lease["trial_number"] for lease in fresh_service.claim(name, max_trials=2)) == [2, 3]


def test_attempts_are_remembered(sqlite_service: Service) -> None:
    service = sqlite_service
    name = service.create(n_trials=1, max_attempts=3)
    for attempt in (1, 2, 3):
        assert service.claim_one(name)["attempt"] == attempt
        service.clock.advance(LEASE_SECONDS)
        service.http.get(f"/v1/studies/{name}")
        service.restart()

    assert service.claim(name) == []
    assert service.counts(name) == {"FAIL": 1}


def test_a_study_reaches_exactly_n_trials_over_many_restarts(sqlite_service: Service) -> None:
    service = sqlite_service
    name = service.create(n_trials=4, sampler={"name": "tpe", "seed": 0})
    for _ in range(3):
        service.run(name)
        service.restart()
    service.run(name)

    assert service.claim(name) == []
    assert service.counts(name) == {"COMPLETE": 4}
    service.restart()
    assert service.study(name)["state"] == "finished"


@pytest.mark.parametrize("sampler", ["random", "tpe", "qmc", "nsgaii", "cmaes"])
def test_a_seeded_sampler_does_not_repeat_its_suggestions_after_a_restart(service: Service, sampler: str) -> None:
    name = service.create(n_trials=6, sampler={"name": sampler, "seed": 0})
    service.claim(name, max_trials=2)
    service.restart()
    service.claim(name, max_trials=2)
    service.restart()
    service.claim(name, max_trials=2)

    assert len({trial["params"]["learning_rate"] for trial in service.trials(name)}) == 6


@pytest.mark.parametrize("sampler", ["grid", "brute_force"])
@pytest.mark.parametrize("seed", [None, 7])
def test_every_configuration_is_tried_exactly_once_over_restarts(
    service: Service, sampler: str, seed: int | None
) -> None:
    name = service.create(n_trials=100, search_space=SMALL, sampler={"name": sampler, "seed": seed})
    for _ in range(2):
        service.run(name, 2)
        service.restart()
    service.run(name, 2)

    assert service.claim(name) == []
    tried = sorted((trial["params"]["nesterov"], trial["params"]["batch_size"]) for trial in service.trials(name))
    assert tried == sorted(itertools.product([True, False], [16, 32, 48]))
    assert service.study(name)["finished_reason"] == "all 6 configurations of the search space are tried"


def test_a_reached_target_is_remembered(sqlite_service: Service) -> None:
    service = sqlite_service
    name = service.create(n_trials=9, target_value=0.9)
    running = service.claim_one(name)
    service.run(name, 1, 0.95)

    service.restart()

    assert service.claim(name) == []
    assert service.report(running, 0) == "stop"
    assert service.study(name)["state"] == "finished"


def test_time_that_passed_while_the_service_was_down_counts(sqlite_service: Service) -> None:
    service = sqlite_service
    name = service.create(n_trials=9, timeout_seconds=100)
    service.run(name)
    service.clock.advance(200)
    service.restart()

    assert service.study(name)["state"] == "finished"


def test_an_extended_study_stays_extended(sqlite_service: Service) -> None:
    service = sqlite_service
    wanted = definition(n_trials=1)
    service.http.post("/v1/studies", json=wanted)
    service.change(wanted["name"], n_trials=2)
    service.restart()

    assert service.study(wanted["name"])["definition"]["n_trials"] == 2
    assert service.http.post("/v1/studies", json=wanted).status_code == 200
    assert len(service.claim(wanted["name"], max_trials=5)) == 2


def test_conditional_trials_live_on(sqlite_service: Service) -> None:
    service = sqlite_service
    name = service.create(
        n_trials=8,
        search_space={
            "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
            "learning_rate": {**LEARNING_RATE, "when": {"optimizer": ["adam"]}},
        },
        sampler={"name": "tpe", "seed": 0, "n_startup_trials": 2},
    )
    leases = service.claim(name, max_trials=4)
    service.restart()
    for lease in leases:
        service.complete(lease)
    leases += service.run(name, 4)

    assert all(("learning_rate" in lease["params"]) == (lease["params"]["optimizer"] == "adam") for lease in leases)


def test_a_trial_stays_with_its_worker_although_the_clock_was_set_back(fresh_service: Service) -> None:
    name = fresh_service.create(n_trials=1)
    fresh_service.release(fresh_service.claim_one(name))
    fresh_service.clock.set_back(3600)
    lease = fresh_service.claim_one(name)

    fresh_service.restart()

    assert fresh_service.claim(name) == []
    assert fresh_service.report(lease, 0) == "continue"
    assert fresh_service.complete(lease) == "COMPLETE"
