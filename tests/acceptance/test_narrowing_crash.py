"""A service that is killed right after a round has ended, or in the middle of one, goes on with the same ranges."""

import math
import secrets

import optuna
import pytest

from service.client import Client
from service.schemas.protocol import Claim, Complete, Lease
from service.schemas.rounds import Round
from service.schemas.worker_info import WorkerInfo
from tests.acceptance.service_checks import stock_storage
from tests.conftest import StartService
from tests.integration.service_driver import definition

pytestmark = pytest.mark.slow

NARROWING = {"rounds": 3, "trials_per_round": 5, "keep_top": 2}
SPACE = {
    "learning_rate": {"type": "float", "low": 1e-6, "high": 1.0, "log": True},
    "dropout": {"type": "float", "low": 0.0, "high": 0.5},
}


def claim(client: Client, n_trials: int) -> list[Lease]:
    asked = Claim(claim_id=secrets.token_hex(8), worker=WorkerInfo(id="worker"), max_trials=n_trials)
    return client.claim(asked).leases


def finish(client: Client, lease: Lease) -> None:
    rate = lease.params["learning_rate"]
    assert isinstance(rate, float)
    client.complete(lease.lease_id, Complete(metrics={"validation_accuracy": -abs(math.log10(rate) + 3)}))


def is_inside(lease: Lease, round: Round) -> bool:
    values = {name: lease.params[name] for name in round.ranges}
    return all(
        isinstance(value, float) and round.ranges[name].low <= value <= round.ranges[name].high
        for name, value in values.items()
    )


def test_rounds_outlive_a_killed_service(database_url: str, service_process: StartService) -> None:
    wanted = definition(name="wide", search_space=SPACE, sampler={"name": "tpe", "seed": 0}, n_trials=15)
    flags = ("--database", database_url, "--lease-seconds", "600")
    service = service_process(*flags)
    with Client(service.url) as client:
        client.create_study({**wanted, "narrowing": NARROWING})
        for lease in claim(client, 20):
            finish(client, lease)
        service.kill()

    service = service_process(*flags)
    with Client(service.url) as client:
        first, second = client.rounds("wide")
        assert (first.n_trials, second.first_trial) == (5, 5)
        assert second.ranges["learning_rate"].share < 1
        held = claim(client, 2)
        assert len(held) == 2
        service.kill()

    service = service_process(*flags)
    with Client(service.url) as client:
        assert [one.ranges for one in client.rounds("wide")] == [first.ranges, second.ranges]
        leases = [*held, *claim(client, 20)]
        assert len(leases) == 5
        assert all(is_inside(lease, second) for lease in leases)
        for lease in leases:
            finish(client, lease)
        third = client.rounds("wide")[2]
        leases = claim(client, 20)
        assert [lease.trial_number for lease in leases] == [10, 11, 12, 13, 14]
        assert all(is_inside(lease, third) for lease in leases)
        for lease in leases:
            finish(client, lease)
        assert client.study("wide").state == "finished"
    assert service.stop() == 0
    with stock_storage(database_url) as storage:
        trials = optuna.load_study(study_name="wide", storage=storage).trials
    assert optuna.search_space.intersection_search_space(trials).keys() == SPACE.keys()
