"""Claims: leases of trials, the same ones for the same claim, and never more than n_trials."""

import threading
from typing import Any

import pytest

from service.leases.claims import MAX_ROWS
from service.schemas.study.training import Training
from service.study.seeds import trial_seed
from tests.integration.service_driver import LEARNING_RATE, LEASE_SECONDS, Json, Service, code_of, definition, errors_of


def together(calls: list[Any]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_lease_holds_all_that_a_worker_needs(service: Service) -> None:
    name = service.create(
        search_space={
            "learning_rate": LEARNING_RATE,
            "model.hidden.0": {"type": "int", "low": 8, "high": 16},
            "model.hidden.1": {"type": "int", "low": 8, "high": 16},
        },
        training={"dataset": "digits", "model": {"name": "mlp", "activation": "tanh"}, "seed": 5},
    )

    lease = service.claim_one(name)

    assert (lease["study"], lease["trial_number"], lease["attempt"]) == (name, 0, 1)
    assert lease["expires_in_seconds"] == LEASE_SECONDS
    assert lease["resume"] is None
    assert lease["seed"] == trial_seed(5, 0)
    params = lease["params"]
    assert list(params) == ["learning_rate", "model.hidden.0", "model.hidden.1"]
    training = Training.model_validate(lease["training"])
    assert training.learning_rate == params["learning_rate"]
    assert lease["training"]["model"]["hidden"] == [params["model.hidden.0"], params["model.hidden.1"]]
    assert lease["training"]["model"]["activation"] == "tanh"


def test_trials_have_seeds_of_their_own(service: Service) -> None:
    leases = service.claim(service.create(n_trials=5), max_trials=5)

    assert len({lease["seed"] for lease in leases}) == 5
    assert all(0 <= lease["seed"] < 2**48 for lease in leases)


def test_a_claimed_trial_is_running_and_names_its_worker(service: Service) -> None:
    name = service.create()
    (lease,) = service.claim(name, worker="lab/cuda:0")

    trial = service.trial(name, 0)

    assert (trial["state"], trial["worker"], trial["params"]) == ("RUNNING", "lab/cuda:0", lease["params"])
    assert trial["attempts"] == [
        {
            "attempt": 1,
            "lease_id": lease["lease_id"],
            "worker": "lab/cuda:0",
            "started_at": trial["started_at"],
            "ended_at": None,
            "outcome": None,
            "reason": None,
        }
    ]
    assert service.study(name)["started_at"] == trial["started_at"]


def test_the_same_claim_again_gets_the_same_leases(each_service: Service) -> None:
    name = each_service.create(n_trials=10)
    body = {"claim_id": f"claim-{name}"[:64], "worker": {"id": "w"}, "study": name, "max_trials": 3}

    first = each_service.http.post("/v1/claims", json=body).json()
    again = each_service.http.post("/v1/claims", json=body).json()

    assert len(first["leases"]) == 3
    assert again == first
    assert each_service.counts(name) == {"RUNNING": 3}


def test_the_same_claim_at_the_same_time_gets_the_same_leases(each_service: Service) -> None:
    name = each_service.create(n_trials=20)
    body = {"claim_id": f"claim-{name}"[:64], "worker": {"id": "w"}, "study": name, "max_trials": 2}
    answers: list[Json] = []

    together([lambda: answers.append(each_service.http.post("/v1/claims", json=body).json())] * 6)

    assert [answer == answers[0] for answer in answers] == [True] * 6
    assert each_service.counts(name) == {"RUNNING": 2}


def test_a_claim_that_got_nothing_may_get_something_later(service: Service) -> None:
    name = service.create(n_trials=1)
    service.change(name, state="paused")
    body = {"claim_id": f"claim-{name}"[:64], "worker": {"id": "w"}, "study": name}
    assert service.http.post("/v1/claims", json=body).json() == {"leases": [], "not_allowed": []}

    service.change(name, state="running")

    assert len(service.http.post("/v1/claims", json=body).json()["leases"]) == 1


def test_a_repeated_claim_shows_leases_that_have_ended_with_no_time_left(service: Service) -> None:
    name = service.create(n_trials=1)
    body = {"claim_id": f"claim-{name}"[:64], "worker": {"id": "w"}, "study": name}
    (lease,) = service.http.post("/v1/claims", json=body).json()["leases"]
    service.complete(lease)

    (again,) = service.http.post("/v1/claims", json=body).json()["leases"]

    assert again == {**lease, "expires_in_seconds": 0.0}


def test_many_claimers_at_once_get_exactly_n_trials(each_service: Service) -> None:
    name = each_service.create(n_trials=12)
    leases: list[Json] = []

    def work(worker: str) -> None:
        while got := each_service.claim(name, max_trials=2, worker=worker):
            leases.extend(got)
            for lease in got:
                each_service.complete(lease)

    together([lambda worker=f"w{index}": work(worker) for index in range(6)])

    assert sorted(lease["trial_number"] for lease in leases) == list(range(12))
    assert len({lease["lease_id"] for lease in leases}) == 12
    assert each_service.counts(name) == {"COMPLETE": 12}
    study = each_service.study(name)
    assert (study["state"], study["finished_reason"]) == ("finished", "all 12 trials are finished")


def test_failed_trials_count_too(service: Service) -> None:
    name = service.create(n_trials=3)
    for _ in range(3):
        service.fail(service.claim_one(name))

    assert service.claim(name) == []
    assert service.study(name)["state"] == "finished"
    assert service.counts(name) == {"FAIL": 3}


def test_a_claim_may_be_answered_with_fewer_trials_than_asked_for(service: Service) -> None:
    name = service.create(n_trials=3)

    assert len(service.claim(name, max_trials=1000)) == 3


def test_a_claim_for_a_study_that_is_not_there_is_not_found(service: Service) -> None:
    body = {"claim_id": "c", "worker": {"id": "w"}, "study": "no-such-study"}

    assert code_of(service.http.post("/v1/claims", json=body), 404) == "study_not_found"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"claim_id": ""}, "claim_id"),
        ({"claim_id": "x" * 65}, "claim_id"),
        ({"claim_id": None}, "claim_id"),
        ({"claim_id": "a\0b"}, "claim_id"),
        ({"worker": {}}, "worker.id"),
        ({"worker": {"id": "a\0b"}}, "worker.id"),
        ({"worker": {"id": "w", "host": "a\0b"}}, "worker.host"),
        ({"worker": {"id": "w", "device": "a\0b"}}, "worker.device"),
        ({"worker": {"id": "x" * 201}}, "worker.id"),
        ({"worker": {"id": "w", "n_lanes": 0}}, "worker.n_lanes"),
        ({"worker": {"id": "w", "n_lanes": 10**20}}, "worker.n_lanes"),
        ({"worker": {"id": "w", "n_lanes": True}}, "worker.n_lanes"),
        ({"worker": {"id": "w", "n_lanes": "2"}}, "worker.n_lanes"),
        ({"worker": "w"}, "worker"),
        ({"max_trials": 0}, "max_trials"),
        ({"max_trials": 1025}, "max_trials"),
        ({"max_trials": "1"}, "max_trials"),
        ({"max_trials": True}, "max_trials"),
        ({"study": "a/b"}, "study"),
        ({"study": ""}, "study"),
        ({"wait_seconds": -1}, "wait_seconds"),
        ({"wait_seconds": 31}, "wait_seconds"),
        ({"wait_seconds": "nan"}, "wait_seconds"),
        ({"wait_seconds": True}, "wait_seconds"),
        ({"wait_seconds": "1"}, "wait_seconds"),
        ({"fair": 1}, "fair"),
        ({"fair": "yes"}, "fair"),
    ],
)
def test_a_bad_claim_is_refused(each_service: Service, changes: Json, field: str) -> None:
    body = {"claim_id": "c", "worker": {"id": "w"}, "wait_seconds": 0, **changes}

    assert field in errors_of(each_service.http.post("/v1/claims", json=body))


@pytest.mark.parametrize("text", ["日本語", "🦊", "a b/c:d%e?f#g", "'; DROP TABLE narrows_leases; --"])
def test_names_of_workers_and_claims_are_kept_to_the_letter(each_service: Service, text: str) -> None:
    name = each_service.create()
    body = {"claim_id": f"{text}{name}", "worker": {"id": text, "host": text, "device": text}, "study": name}

    first = each_service.http.post("/v1/claims", json=body).json()

    assert each_service.http.post("/v1/claims", json=body).json() == first
    assert each_service.trial(name, 0)["worker"] == text


def test_a_study_with_the_definition_of_another_has_its_own_trials(service: Service) -> None:
    one = service.create(sampler={"name": "random", "seed": 7})
    other = service.create(**{**definition(), "name": definition()["name"], "sampler": {"name": "random", "seed": 7}})

    assert service.claim_one(one)["params"] == service.claim_one(other)["params"]


def test_a_large_claim_is_committed_in_pieces_so_that_other_commits_come_between(service: Service) -> None:
    space = {f"model.hidden.{index}": {"type": "int", "low": 16, "high": 64} for index in range(30)}
    name = service.create(search_space=space, n_trials=128)
    n_rows: list[int] = []
    service.store.add_commit_listener(lambda commit: n_rows.append(commit.n_rows))

    granted = service.claim(name, 128)

    assert len(granted) == 128
    assert max(n_rows) < 3 * MAX_ROWS
