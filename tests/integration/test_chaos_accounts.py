"""The accounts of a study that went through turmoil are right for trials with any number of leases."""

import pytest

from tests.acceptance.chaos.accounts import Accounts
from tests.acceptance.chaos.harness import EPOCHS
from tests.acceptance.chaos.proxy import Seen
from tests.integration.service_driver import Json, Service

N_RELEASED = 30
"""More leases than an answer with a trial has."""


def report(service: Service, seen: Seen, lease: Json, step: int, value: float) -> None:
    report = {"lease_id": lease["lease_id"], "step": step, "metrics": {"validation_accuracy": value}}
    seen.sent.append(report)
    seen.reports.append((report, service.report(lease, step, value)))


@pytest.fixture
def trial_of_many_leases(service: Service) -> tuple[str, Seen]:
    """Every lease reports a step. The last one reports all and completes the trial."""
    name, seen = service.create(n_trials=1), Seen()
    for number in range(N_RELEASED):
        lease = service.claim_one(name)
        report(service, seen, lease, 0, number / 100)
        service.release(lease)
        service.clock.advance(1.0)
    lease = service.claim_one(name)
    for step in range(EPOCHS):
        report(service, seen, lease, step, step / 10)
    service.complete(lease)
    return name, seen


def test_all_leases_count(service: Service, trial_of_many_leases: tuple[str, Seen]) -> None:
    name, seen = trial_of_many_leases
    accounts = Accounts()
    accounts.add(service.client(), service.url, name, 1, seen)
    assert (accounts.lost, accounts.doubled) == ([], [])
    assert accounts.attempts == {"release": N_RELEASED, "complete": 1}
    assert accounts.n_reports == EPOCHS


def test_a_lost_report_is_found(service: Service, trial_of_many_leases: tuple[str, Seen]) -> None:
    name, seen = trial_of_many_leases
    last, decision = seen.reports[-1]
    seen.reports.append(({**last, "step": EPOCHS}, decision))
    accounts = Accounts()
    accounts.add(service.client(), service.url, name, 1, seen)
    assert accounts.lost == [f"{name} #0 step {EPOCHS}"]
