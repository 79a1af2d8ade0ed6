"""A trial with many leases: its first and newest ones are shown and kept in memory, and old ones are still known."""

import pytest

from storage.tables.lease_index import MAX_OF_TRIAL
from tests.integration.service_driver import Json, Service, code_of, end

N_LEASES = MAX_OF_TRIAL + 5


def release_often(service: Service, study: str, n_leases: int = N_LEASES) -> list[Json]:
    """Claim and release the same trial again and again."""
    leases = []
    for _ in range(n_leases):
        leases.append(service.claim_one(study))
        service.release(leases[-1])
    return leases


@pytest.mark.parametrize("restarted", [False, True])
def test_the_first_and_the_newest_attempts_are_shown_with_their_number(each_service: Service, restarted: bool) -> None:
    service = each_service
    name = service.create(n_trials=1)
    leases = release_often(service, name)
    lease = service.claim_one(name)
    service.complete(lease)
    if restarted:
        service.restart()

    trial = service.trial(name, 0)

    shown = [attempt["lease_id"] for attempt in trial["attempts"]]
    newest = [known["lease_id"] for known in [*leases, lease]][-(MAX_OF_TRIAL - 1) :]
    assert shown == [leases[0]["lease_id"], *newest]
    assert trial["n_attempts"] == N_LEASES + 1
    assert trial["started_at"] == trial["attempts"][0]["started_at"]
    assert service.trials(name)[0] == trial


def test_memory_does_not_grow_with_the_leases_of_a_trial(service: Service) -> None:
    name = service.create(n_trials=1)
    lease = service.claim_one(name)
    study_id = service.store.leases.get(lease["lease_id"]).study_id  # type: ignore[union-attr]
    service.release(lease)

    release_often(service, name)

    assert len(service.store.leases.of_study(study_id)) == MAX_OF_TRIAL


@pytest.mark.parametrize("restarted", [False, True])
def test_calls_with_an_old_lease_are_answered_as_before(each_service: Service, restarted: bool) -> None:
    service = each_service
    name = service.create(n_trials=1)
    old = release_often(service, name)[1]
    if restarted:
        service.restart()

    assert service.release(old) == "WAITING"
    assert code_of(end(service, old, "complete", {"values": [0.5]}), 409) == "lease_closed"
    assert code_of(service.http.post(f"/v1/leases/{old['lease_id']}/user-attrs", json={"user_attrs": {}}), 409)
    assert service.report(old, 0) == "lost"


def test_an_old_lease_of_a_deleted_study_is_unknown(service: Service) -> None:
    name = service.create(n_trials=1)
    old = release_often(service, name)[1]
    assert service.http.delete(f"/v1/studies/{name}").status_code == 204

    assert code_of(end(service, old, "release"), 404) == "lease_not_found"


def test_attempts_count_on_when_old_leases_are_out_of_memory(service: Service) -> None:
    name = service.create(n_trials=1, max_attempts=N_LEASES)
    for attempt in range(1, N_LEASES):
        lease = service.claim_one(name)
        assert lease["attempt"] == attempt
        assert service.fail(lease, f"fault {attempt}", retry=True) == "WAITING"
        release_often(service, name, 1)
    last = service.claim_one(name)
    assert service.fail(last, "the last fault", retry=True) == "FAIL"

    trial = service.trial(name, 0)

    assert last["attempt"] == N_LEASES
    reasons = trial["reason"].split("; ")
    n_left_out = trial["n_attempts"] - MAX_OF_TRIAL
    assert reasons[:2] == ["attempt 1: fault 1", f"{n_left_out} leases are left out"]
    assert reasons[2].startswith(f"attempt {N_LEASES - 9}: fault ")
    assert reasons[-1] == f"attempt {N_LEASES}: the last fault"
