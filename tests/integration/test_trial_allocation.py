"""Which trials a claim gets: of which study, in which order, and how the last ones are divided among workers."""

from collections import Counter
from functools import partial
from uuid import uuid4

from tests.integration.service_driver import LEARNING_RATE, Service


def test_a_claim_for_any_study_serves_the_one_with_the_fewest_running_trials(sqlite_service: Service) -> None:
    busy, idle = sqlite_service.create(n_trials=9), sqlite_service.create(n_trials=9)
    sqlite_service.claim(busy, max_trials=2)

    granted = Counter(lease["study"] for _ in range(4) for lease in sqlite_service.claim(None))

    assert granted == {idle: 3, busy: 1}


def test_one_claim_can_span_studies(sqlite_service: Service) -> None:
    one, other = sqlite_service.create(n_trials=1), sqlite_service.create(n_trials=1)

    leases = sqlite_service.claim(None, max_trials=5)

    assert {lease["study"] for lease in leases} == {one, other}


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


def test_trials_of_other_sizes_come_before_those_that_cannot_be_padded(service: Service) -> None:
    choices: dict[str, list[int | str]] = {
        "batch_size": [32, 64],
        "model.hidden.0": [8, 9],
        "optimizer": ["adam", "sgd"],
    }
    trials = [(32, 8, "adam"), (32, 8, "sgd"), (64, 9, "adam"), (32, 8, "adam"), (64, 8, "adam")]
    name = service.create(
        search_space={key: {"type": "categorical", "choices": values} for key, values in choices.items()},
        enqueue=[dict(zip(choices, values, strict=True)) for values in trials],
        n_trials=8,
    )

    leases = service.claim(name, worker="one") + service.claim(name, max_trials=3, worker="one")

    assert [lease["trial_number"] for lease in leases] == [0, 3, 2, 4]


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
