"""Claims: leases of trials, the same ones for the same claim, and never more than n_trials."""

import threading
import time
from collections import Counter
from typing import Any

import pytest

from service.schemas.training import Training
from service.suggest import trial_seed
from tests.integration.service_driver import (
    LEARNING_RATE,
    LEASE_SECONDS,
    Json,
    Service,
    code_of,
    definition,
    errors_of,
)

CONDITIONAL = {
    "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
    "momentum": {"type": "float", "low": 0.0, "high": 0.9, "when": {"optimizer": ["sgd"]}},
    "nesterov": {"type": "categorical", "choices": [True, False], "when": {"optimizer": ["sgd"]}},
    "beta1": {"type": "float", "low": 0.5, "high": 0.99, "when": {"optimizer": ["adam"]}},
}


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


# What is sampled


def test_conditional_parameters_never_appear_while_they_are_inactive(each_service: Service) -> None:
    name = each_service.create(n_trials=16, search_space=CONDITIONAL)
    leases = each_service.claim(name, max_trials=16)

    for lease in leases:
        own = {"sgd": {"momentum", "nesterov"}, "adam": {"beta1"}}[lease["params"]["optimizer"]]
        assert set(lease["params"]) == {"optimizer"} | own
        assert all(lease["training"][key] == value for key, value in lease["params"].items())
    assert {lease["params"]["optimizer"] for lease in leases} == {"sgd", "adam"}
    assert [trial["params"] for trial in each_service.trials(name)] == [lease["params"] for lease in leases]


def test_parameters_stay_in_their_bounds_and_keep_their_types(service: Service) -> None:
    space = {
        "learning_rate": LEARNING_RATE,
        "momentum": {"type": "float", "low": 0.0, "high": 0.9, "step": 0.25},
        "batch_size": {"type": "int", "low": 16, "high": 70, "step": 16},
        "epochs": {"type": "int", "low": 1, "high": 100, "log": True},
        "gradient_clip": {"type": "categorical", "choices": [None, 1.0, 2]},
        "nesterov": {"type": "categorical", "choices": [False, True]},
    }
    name = service.create(n_trials=20, search_space=space)
    for lease in service.claim(name, max_trials=20):
        params = lease["params"]
        assert 1e-5 <= params["learning_rate"] <= 0.1
        assert params["momentum"] in (0.0, 0.25, 0.5, 0.75)
        assert params["batch_size"] in (16, 32, 48, 64)
        assert isinstance(params["batch_size"], int)
        assert params["epochs"] in range(1, 101)
        assert params["gradient_clip"] in (None, 1.0, 2)
        assert params["nesterov"] in (False, True)
        assert isinstance(params["nesterov"], bool)


def test_a_seed_repeats_the_first_suggestions(service: Service) -> None:
    def suggestions(seed: int) -> list[Json]:
        name = service.create(n_trials=5, sampler={"name": "tpe", "seed": seed, "n_startup_trials": 2})
        return [lease["params"] for lease in service.run(name, 5)]

    assert suggestions(3) == suggestions(3)
    assert suggestions(3) != suggestions(4)


# Enqueued trials


def test_enqueued_configurations_come_first_and_in_order(each_service: Service) -> None:
    name = each_service.create(
        n_trials=4, search_space=CONDITIONAL, enqueue=[{"optimizer": "adam", "beta1": 0.6}, {"optimizer": "sgd"}]
    )
    assert each_service.counts(name) == {"WAITING": 2}
    assert each_service.trial(name, 0)["params"] == {"optimizer": "adam", "beta1": 0.6}

    response = each_service.http.post(f"/v1/studies/{name}/trials", json={"params": {"momentum": 0.125}})

    assert response.status_code == 201
    assert (response.json()["number"], response.json()["state"]) == (2, "WAITING")
    leases = each_service.claim(name, max_trials=9)
    assert [lease["trial_number"] for lease in leases] == [0, 1, 2, 3]
    assert leases[0]["params"] == {"optimizer": "adam", "beta1": 0.6}
    assert leases[1]["params"]["optimizer"] == "sgd"
    assert {"momentum", "nesterov"} <= set(leases[1]["params"])
    assert leases[2]["params"].get("momentum", 0.125) == 0.125


def test_an_enqueued_whole_number_is_a_value_of_a_float_parameter(service: Service) -> None:
    name = service.create(
        search_space={"weight_decay": {"type": "float", "low": 0, "high": 2}}, enqueue=[{"weight_decay": 1}]
    )

    assert service.claim_one(name)["params"] == {"weight_decay": 1.0}


def test_enqueued_trials_count_towards_n_trials(service: Service) -> None:
    name = service.create(n_trials=2, enqueue=[{"learning_rate": 0.01}])
    path = f"/v1/studies/{name}/trials"
    assert service.http.post(path, json={"params": {}}).status_code == 201

    assert code_of(service.http.post(path, json={"params": {}}), 409) == "budget_exhausted"

    assert len(service.claim(name, max_trials=9)) == 2
    assert service.claim(name) == []


def test_a_study_that_is_extended_takes_enqueued_trials_again(service: Service) -> None:
    name = service.create(n_trials=1)
    service.run(name)
    path = f"/v1/studies/{name}/trials"
    assert code_of(service.http.post(path, json={"params": {}}), 409) == "budget_exhausted"

    service.change(name, n_trials=2)

    assert service.http.post(path, json={"params": {"learning_rate": 0.05}}).status_code == 201
    assert service.claim_one(name)["params"] == {"learning_rate": 0.05}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "params"),
        ({"params": None}, "params"),
        ({"params": []}, "params"),
        ({"params": {"dropout": 0.1}}, "params.dropout"),
        ({"params": {"learning_rate": 1}}, "params.learning_rate"),
        ({"params": {"learning_rate": "0.01"}}, "params.learning_rate"),
        ({"params": {"learning_rate": None}}, "params.learning_rate"),
        ({"params": {"learning_rate": True}}, "params.learning_rate"),
        ({"params": {"learning_rate": [0.01]}}, "params.learning_rate"),
        ({"params": {"learning_rate": 10**400}}, "params.learning_rate"),
        ({"params": {"\0": 1}}, "params.\0"),
        ({"params": {"x" * 129: 1}}, "params." + "x" * 129),
        ({"params": {}, "number": 3}, "number"),
    ],
)
def test_a_bad_configuration_is_not_enqueued(service: Service, body: Json, field: str) -> None:
    name = service.create()

    assert field in errors_of(service.http.post(f"/v1/studies/{name}/trials", json=body))
    assert service.counts(name) == {}


# Waiting


def test_a_claim_without_work_is_answered_when_its_wait_is_over(service: Service) -> None:
    name = service.create()
    service.change(name, state="paused")
    started = time.monotonic()

    assert service.claim(name, wait_seconds=0.3) == []

    assert 0.25 <= time.monotonic() - started < 5


@pytest.mark.parametrize("wake", ["create", "resume", "extend", "enqueue", "release", "expire"])
def test_a_waiting_claim_wakes_when_there_is_work(sqlite_service: Service, wake: str) -> None:
    service = sqlite_service
    name = service.create(n_trials=1)
    lease: Json = {}
    if wake in ("release", "expire", "extend"):
        lease = service.claim_one(name)
    else:
        service.change(name, state="paused")
    got: list[Json] = []
    waiting = threading.Thread(target=lambda: got.extend(service.claim(None, worker="waiting", wait_seconds=20)))
    waiting.start()
    until(lambda: any(worker["id"] == "waiting" for worker in service.get("/workers")["workers"]))
    started = time.monotonic()

    match wake:
        case "create":
            service.create()
        case "resume":
            service.change(name, state="running")
        case "extend":
            service.change(name, n_trials=2)
        case "enqueue":
            assert service.http.post(f"/v1/studies/{service.create()}/trials", json={"params": {}}).status_code == 201
        case "release":
            service.release(lease)
        case "expire":
            service.clock.advance(LEASE_SECONDS + 1)  # the service looks by itself, twice a second
    waiting.join(10)

    assert len(got) == 1
    assert time.monotonic() - started < 5


def until(holds: Any) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_waiting_claims_end_at_once_when_the_service_shuts_down(sqlite_service: Service) -> None:
    got: list[list[Json]] = []
    waiting = threading.Thread(target=lambda: got.append(sqlite_service.claim(None, worker="w", wait_seconds=25)))
    waiting.start()
    until(lambda: sqlite_service.get("/workers")["workers"])
    started = time.monotonic()

    sqlite_service.app.state.signal.close()
    waiting.join(10)

    assert got == [[]]
    assert time.monotonic() - started < 5


# Workers


def test_workers_are_listed_with_what_they_run(sqlite_service: Service) -> None:
    service = sqlite_service
    name = service.create(n_trials=9)
    body = {"claim_id": "c1", "worker": {"id": "lab/0", "host": "lab", "device": "cuda:0", "n_lanes": 4}}
    service.http.post("/v1/claims", json={**body, "study": name, "max_trials": 3})
    service.clock.advance(10)
    service.claim(name, worker="idle", max_trials=1)
    service.clock.advance(10)
    service.http.post("/v1/claims", json={"claim_id": "c2", "worker": {"id": "newest"}, "study": name})

    newest, idle, lab = service.get("/workers")["workers"]

    assert [worker["id"] for worker in (newest, idle, lab)] == ["newest", "idle", "lab/0"]
    assert (lab["host"], lab["device"], lab["n_lanes"], lab["trials_running"]) == ("lab", "cuda:0", 4, 3)
    assert lab["first_seen_at"] == lab["last_seen_at"]

    service.http.post("/v1/claims", json={**body, "claim_id": "c3", "study": name})
    first, *_ = service.get("/workers")["workers"]
    assert first["id"] == "lab/0"
    assert first["first_seen_at"] < first["last_seen_at"]


def test_a_worker_that_finds_no_work_is_listed_too(sqlite_service: Service) -> None:
    assert sqlite_service.claim(None, worker="bored") == []

    (worker,) = sqlite_service.get("/workers")["workers"]
    assert (worker["id"], worker["trials_running"]) == ("bored", 0)


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
