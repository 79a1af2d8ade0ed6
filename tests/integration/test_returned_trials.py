"""Trials that came back because their leases expired are handed out again, however many there are."""

import secrets
from functools import partial

from service.leases.claims import claim_trials
from service.schemas.protocol import Claim, Lease
from tests.integration.service_driver import LEASE_SECONDS, Json, Service
from tests.work import n_calls

WIDTH: Json = {"type": "int", "low": 8, "high": 64}
SPACE = {f"model.hidden.{index}": WIDTH for index in range(4)}
FEW, MANY = 20, 60


def returned(service: Service, n_waiting: int) -> str:
    """A study whose trials can train together with padding at best. Some of them wait to be tried again."""
    name = service.create(n_trials=n_waiting, search_space=SPACE)
    assert len(service.claim(name, n_waiting)) == n_waiting
    service.clock.advance(2 * LEASE_SECONDS)
    service.app.state.registry.get(name).tick()
    return name


def claim(service: Service, name: str, n: int) -> list[Lease]:
    """Claim in this thread."""
    worker = {"id": secrets.token_hex(4)}
    body = Claim.model_validate({"claim_id": secrets.token_hex(8), "worker": worker, "study": name, "max_trials": n})
    leases, committed = claim_trials(service.app.state.registry, body)
    for one in committed:
        service.store.wait(one)
    assert len(leases) == n
    return leases


def work_for_one_more(service: Service, n_waiting: int) -> float:
    """The work of a claim for each further trial."""
    few, many = (n_calls(partial(claim, service, returned(service, n_waiting), n)) for n in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def test_each_further_trial_of_a_claim_takes_the_same_work_however_many_wait(service: Service) -> None:
    assert work_for_one_more(service, 600) < 1.5 * work_for_one_more(service, 100)


def test_each_is_handed_out_once(service: Service) -> None:
    leases = claim(service, returned(service, 30), 30)
    assert {lease.attempt for lease in leases} == {2}
    assert sorted(lease.trial_number for lease in leases) == list(range(30))
