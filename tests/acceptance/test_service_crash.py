"""The whole service is killed at any instant, over and over, and its clients never notice more than a pause."""

import os
import random
import time

import pytest

from tests.acceptance.service_checks import Ids, check_kept, check_spent, read_by, read_from
from tests.acceptance.service_load import ServiceLoad
from tests.conftest import StartService
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

ROUNDS = 8
LONGEST_SECONDS = 1.5
SHARE_WHILE_STARTING = 0.25
LONGEST_START_SECONDS = 4.0


def test_what_a_killed_service_acknowledged_is_there_once(
    database_url: str, service_process: StartService, free_port: int
) -> None:
    seed = int(os.environ.get("NARROWS_TEST_SEED", time.time_ns() % 2**32))
    print(f"seed {seed}: set NARROWS_TEST_SEED to repeat it")
    numbers = random.Random(seed)
    flags = ("--database", database_url, "--port", str(free_port), "--lease-seconds", "600")
    ids = Ids()
    service = service_process(*flags)
    with ServiceLoad(service.url, seed) as load:
        counts = []
        for _ in range(ROUNDS):
            starting = service.url == ""
            time.sleep(numbers.uniform(0.0, LONGEST_START_SECONDS if starting else LONGEST_SECONDS))
            service.kill()
            counts.append(load.ledger.n_acknowledged)
            ids.learn(database_url)
            check_kept(database_url, load)
            service = service_process(*flags, ready=numbers.random() >= SHARE_WHILE_STARTING)
        if not service.url:
            service.await_ready()
        load.finish(PATIENCE_SECONDS)
        print(f"{load.ledger.n_acknowledged} acknowledged writes; when it was killed: {counts}")
        assert counts[-1] > ROUNDS, "the load was a load"
        told = read_by(load.client)
        assert service.stop() == 0
        ids.learn(database_url)
        check_kept(database_url, load)
        check_spent(database_url, load)
        assert told == read_from(database_url)
