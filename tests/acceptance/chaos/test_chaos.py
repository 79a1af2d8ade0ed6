"""Workers and service are killed, answers lost and calls doubled: every trial is there once, with every report."""

import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.acceptance.chaos.accounts import Accounts
from tests.acceptance.chaos.harness import Turmoil
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

N_TRIALS = 40
EVENTS = ["kill worker"] * 3 + ["kill service"] * 2 + ["freeze worker"]


def spread(events: Sequence[str], numbers: random.Random) -> list[tuple[float, str]]:
    """Events in any order, each with the share of finished trials at which it happens."""
    shuffled = numbers.sample(events, len(events))
    return [(0.7 * (place + numbers.random()) / len(shuffled), event) for place, event in enumerate(shuffled)]


@pytest.fixture
def seed() -> int:
    seed = int(os.environ.get("NARROWS_TEST_SEED", time.time_ns() % 2**32))
    print(f"seed {seed}: set NARROWS_TEST_SEED to repeat it")
    return seed


def test_exactly_n_trials_with_every_report_once(database_url: str, tmp_path: Path, seed: int) -> None:
    to_come = spread(EVENTS, random.Random(seed))

    def plan(share: float) -> list[str]:
        return [to_come.pop(0)[1]] if to_come and share >= to_come[0][0] else []

    accounts = Accounts()
    with Turmoil(tmp_path, database_url, seed) as turmoil:
        turmoil.run("chaos", N_TRIALS, plan, PATIENCE_SECONDS)
        accounts.add(turmoil.client, database_url, "chaos", N_TRIALS, turmoil.proxy.seen)

    print(turmoil.happened, turmoil.proxy.seen.counts, accounts)
    assert (accounts.lost, accounts.doubled) == ([], [])
    assert set(accounts.trials) <= {"COMPLETE", "PRUNED"}
    assert accounts.trials.total() == N_TRIALS
    assert turmoil.happened == {event: EVENTS.count(event) for event in EVENTS}
    assert turmoil.proxy.seen.counts["drop"] > 0
    assert turmoil.proxy.seen.counts["double"] > 0
    assert turmoil.proxy.seen.n_server_errors == 0
