"""Studies whose trials use several devices: who gets their trials, and what is said while nobody may."""

import secrets

from tests.integration.service_driver import Json, Service
from tests.integration.user_code_driver import create

PAIR: Json = {"entrypoint": "mypkg.train:objective", "devices": 2}


def claim_with(service: Service, n_devices: int, study: str | None = None) -> Json:
    worker = {"id": f"worker-of-{n_devices}", "n_devices": n_devices}
    body = {"claim_id": secrets.token_hex(4), "worker": worker, "study": study, "allow": ["mypkg"]}
    answer: Json = service.http.post("/v1/claims", json=body).json()
    return answer


def test_only_a_worker_with_a_group_of_that_size_gets_a_trial(service: Service) -> None:
    name = create(service, training=PAIR)

    assert [len(claim_with(service, n, name)["leases"]) for n in (1, 2, 3, 4)] == [0, 1, 0, 0]


def test_a_worker_with_a_group_gets_trials_of_one_device_too(service: Service) -> None:
    names = [create(service), create(service, training={**PAIR, "devices": 0.5})]

    leases = [claim_with(service, 2, name)["leases"][0] for name in names]
    assert [lease["training"]["devices"] for lease in leases] == [1, 0.5]


def test_a_study_for_which_nobody_has_a_group_says_so(sqlite_service: Service) -> None:
    service = sqlite_service
    name = create(service, training=PAIR)

    answer = claim_with(service, 1, name)
    assert answer["not_allowed"] == ["--allow mypkg --devices-per-trial 2"]
    assert service.study(name)["waits_for"] == (
        "no worker allows mypkg.train:objective and trials of 2 devices: start one with "
        "--allow mypkg --devices-per-trial 2"
    )

    claim_with(service, 2, name)
    assert service.study(name)["waits_for"] is None


def test_a_group_takes_trials_for_all_of_it_before_others(sqlite_service: Service) -> None:
    service = sqlite_service
    single, pair = create(service), create(service, training=PAIR)

    granted = [claim_with(service, 2)["leases"][0]["study"] for _ in range(3)]
    service.change(pair, state="paused")
    granted += [claim_with(service, 2)["leases"][0]["study"]]
    assert granted == [pair, pair, pair, single]
