"""Claims of workers that train trials of users' code beside one another: what they have room for."""

from typing import Any

import pytest

from tests.integration.service_driver import Service, code_of
from tests.integration.user_code_driver import create


def with_devices(service: Service, devices: float, **changes: Any) -> str:
    return create(service, training={"devices": devices}, **changes)


def claimed(service: Service, room: float | None, study: str | None = None) -> list[str]:
    return [lease["study"] for lease in service.claim(study, allow=["mypkg"], room=room)]


def keep_in_training(service: Service, *studies: str) -> None:
    """Let another worker train a trial of each study, so that none waits for its first."""
    for study in studies:
        assert len(service.claim(study, allow=["mypkg"], worker="other")) == 1


@pytest.mark.parametrize(
    ("devices", "room", "is_granted"),
    [(1, 1, True), (1, 0.5, False), (0.5, 0.5, True), (0.5, 0.25, False), (0.33, 1 / 3, True), (1 / 3, 0.33333, False)],
)
def test_a_trial_is_granted_if_there_is_room_for_it(
    service: Service, devices: float, room: float, is_granted: bool
) -> None:
    study = with_devices(service, devices)
    keep_in_training(service, study)

    assert claimed(service, room, study) == [study] * is_granted


def test_beside_trials_of_users_code_no_other_is_granted(service: Service) -> None:
    study = service.create()

    assert claimed(service, 1.0, study) == []
    assert claimed(service, None, study) == [study]


def test_a_small_trial_takes_the_room_that_a_large_one_does_not_fit(sqlite_service: Service) -> None:
    service = sqlite_service
    small, large = with_devices(service, 0.25), with_devices(service, 0.5)
    keep_in_training(service, small, large)

    assert claimed(service, 0.25) == [small]


def test_a_worker_goes_on_with_small_trials_that_it_would_also_begin_with(sqlite_service: Service) -> None:
    service = sqlite_service
    small = with_devices(service, 0.25)
    with_devices(service, 1)
    service.create()

    assert claimed(service, None) == [small]
    assert claimed(service, 0.75) == [small]


def test_small_trials_do_not_pass_over_a_study_that_comes_first(sqlite_service: Service) -> None:
    service = sqlite_service
    small, large = with_devices(service, 0.25), with_devices(service, 1, n_trials=1)
    keep_in_training(service, small)

    assert claimed(service, 0.25) == []
    assert claimed(service, None) == [large]
    assert claimed(service, 0.25) == [small]


@pytest.mark.parametrize("room", [0, -1, 1.5, "1", True])
def test_a_room_that_is_no_share_of_a_device_is_refused(service: Service, room: object) -> None:
    body = {"claim_id": "c", "worker": {"id": "w"}, "room": room}

    assert code_of(service.http.post("/v1/claims", json=body), 422) == "invalid"


@pytest.mark.parametrize("n_devices", [0, -1, 2.0, "2", 10**6])
def test_a_number_of_devices_that_is_none_is_refused(service: Service, n_devices: object) -> None:
    body = {"claim_id": "c", "worker": {"id": "w", "n_devices": n_devices}}

    assert code_of(service.http.post("/v1/claims", json=body), 422) == "invalid"
