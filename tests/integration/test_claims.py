"""Claims: leases of trials, the same ones for the same claim, and never more than n_trials."""

import threading
from collections import Counter
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from service.schemas.study.training import Training
from service.study.seeds import trial_seed
from tests.integration.service_driver import (
    LEARNING_RATE,
    LEASE_SECONDS,
    Json,
    Service,
    code_of,
    definition,
    errors_of,
)


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
    assert service.http.post("/v1/claims", json=body).json() == {"leases": []}

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


def test_a_claim_for_any_study_serves_the_one_with_the_fewest_running_trials(sqlite_service: Service) -> None:
    busy, idle = sqlite_service.create(n_trials=9), sqlite_service.create(n_trials=9)
    sqlite_service.claim(busy, max_trials=2)

    granted = Counter(lease["study"] for _ in range(4) for lease in sqlite_service.claim(None))

    assert granted == {idle: 3, busy: 1}


def test_one_claim_can_span_studies(sqlite_service: Service) -> None:
    one, other = sqlite_service.create(n_trials=1), sqlite_service.create(n_trials=1)

    leases = sqlite_service.claim(None, max_trials=5)

    assert {lease["study"] for lease in leases} == {one, other}


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
        ({"worker": {"id": "w", "gpus": 1}}, "worker.gpus"),
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
        ({"lease": 1}, "lease"),
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


def test_a_worker_gets_trials_that_can_train_together_where_there_are_some(service: Service) -> None:
    sizes = [32, 64, 32, 64, 32, 64]
    name = service.create(
        search_space={"batch_size": {"type": "categorical", "choices": [32, 64]}, "learning_rate": LEARNING_RATE},
        enqueue=[{"batch_size": size, "learning_rate": 0.01} for size in sizes],
        n_trials=8,
    )

    first, second = service.claim(name, max_trials=2, worker="one")
    third, fourth = service.claim(name, max_trials=2, worker="two")
    (fifth,) = service.claim(name, worker="one")
    (sixth,) = service.claim(name, worker="one")

    numbers = [lease["trial_number"] for lease in (first, second, third, fourth, fifth, sixth)]
    assert numbers == [0, 2, 1, 3, 4, 5]


def test_trials_to_be_tried_again_come_first_even_if_they_train_alone(service: Service) -> None:
    name = service.create(
        search_space={"batch_size": {"type": "categorical", "choices": [32, 64]}, "learning_rate": LEARNING_RATE},
        enqueue=[{"batch_size": size, "learning_rate": 0.01} for size in (32, 64, 32)],
    )
    service.claim(name, worker="one")
    (other,) = service.claim(name, worker="two")
    service.http.post(f"/v1/leases/{other['lease_id']}/release")

    assert [lease["trial_number"] for lease in service.claim(name, max_trials=2, worker="one")] == [1, 2]


def n_claimed(service: Service, name: str, worker: str, n_lanes: int, max_trials: int, *, fair: bool) -> int:
    info = {"id": worker, "host": "host", "device": "cpu", "n_lanes": n_lanes}
    body = {"claim_id": uuid4().hex, "worker": info, "max_trials": max_trials, "study": name, "fair": fair}
    return len(service.http.post("/v1/claims", json=body).json()["leases"])


def test_the_last_trials_are_divided_by_lanes_among_those_who_train(service: Service) -> None:
    claim = partial(n_claimed, service, service.create(n_trials=12))
    assert claim("small", 2, 1, fair=False) == 1
    assert claim("large", 4, 12, fair=True) == 8  # four of six lanes
    assert claim("large", 4, 12, fair=True) == 0
    assert claim("small", 2, 12, fair=True) == 3
    assert claim("small", 2, 12, fair=True) == 0


def test_who_asks_for_no_more_keeps_no_part_that_it_does_not_take(service: Service) -> None:
    claim = partial(n_claimed, service, service.create(n_trials=12))
    assert claim("silent", 64, 2, fair=False) == 2
    assert claim("small", 4, 12, fair=True) == 1, "four of 68 lanes"
    service.clock.advance(11.0)
    assert claim("small", 4, 12, fair=True) == 7, "four of six, with the one that it has"
    assert claim("silent", 64, 12, fair=True) == 2, "it is back, and takes what is left"


def test_who_is_alone_or_does_not_ask_for_a_part_gets_all(service: Service) -> None:
    name = service.create(n_trials=4)
    info = {"id": "one", "host": "host", "device": "cpu"}
    body = {"claim_id": "all", "worker": info, "max_trials": 3, "study": name, "fair": True}
    assert len(service.http.post("/v1/claims", json=body).json()["leases"]) == 3
    assert len(service.claim(name, max_trials=9, worker="two")) == 1
