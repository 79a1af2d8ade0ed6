"""kill -9 at any instant: what was acknowledged is there, once, and what belongs together is there whole or not."""

import multiprocessing
import os
import random
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest
from optuna.trial import FrozenTrial, TrialState

from storage import GroupCommitStorage
from tests.acceptance.storage_load import Acknowledged, write_until_killed

pytestmark = pytest.mark.slow

ROUNDS = 50
LONGEST_SECONDS = 0.4


def kill_after_a_while(url: str, seed: int, pause_seconds: float) -> list[Acknowledged]:
    """Let a process write, kill it, and answer what it had acknowledged."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.acceptance.storage_load"])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=write_until_killed, args=(url, seed, sender))
    process.start()
    sender.close()
    acknowledged = [message for message in received(receiver, pause_seconds, process.kill) if message[0] != "ready"]
    process.join()
    receiver.close()
    return acknowledged


def received(receiver: Connection, pause_seconds: float, kill: object) -> Iterator[Acknowledged]:
    assert receiver.poll(60), "the process starts"
    yield receiver.recv()
    deadline = time.monotonic() + pause_seconds
    killed = False
    while True:
        try:
            if killed or receiver.poll(max(0.0, deadline - time.monotonic())):
                yield receiver.recv()
        except (EOFError, ConnectionResetError):
            return
        if not killed and time.monotonic() >= deadline:
            assert callable(kill)
            kill()
            killed = True


class Expected:
    """What must be in the database after all rounds so far."""

    def __init__(self) -> None:
        self.trials: dict[int, dict[str, object]] = {}
        self.studies: set[int] = set()
        self.deleting: set[int] = set()
        self.ids: set[tuple[str, int]] = set()

    def learn(self, acknowledged: list[Acknowledged]) -> None:
        for what, owner_id, values in acknowledged:
            if what in ("study", "trial"):
                assert (what, owner_id) not in self.ids, f"{what} id {owner_id} is given twice"
                self.ids.add((what, owner_id))
            if what == "study":
                self.studies.add(owner_id)
            elif what == "trial":
                self.trials[owner_id] = {"study": values[0], "reports": {}}
            elif what == "report":
                reports = self.trials[owner_id]["reports"]
                assert isinstance(reports, dict)
                reports[values[0]] = values[1]
            elif what == "complete":
                self.trials[owner_id]["value"] = values[0]
            elif what == "deleting":
                self.deleting.add(owner_id)
            elif what == "deleted":
                self.studies.discard(owner_id)

    def check(self, storage: GroupCommitStorage, deleted: set[int]) -> None:
        present = {study._study_id for study in storage.get_all_studies()}
        assert self.studies - self.deleting <= present, "an acknowledged study is lost"
        assert not deleted & present, "a deleted study is back"
        found = {trial._trial_id: trial for study in present for trial in storage.get_all_trials(study, deepcopy=False)}
        for trial_id, expected in self.trials.items():
            if expected["study"] in present:
                self.check_trial(found[trial_id], expected)
        for study_id in present:
            trials = storage.get_all_trials(study_id, deepcopy=False)
            assert [trial.number for trial in trials] == list(range(len(trials)))
            for trial in trials:
                assert trial.system_attrs == {"lease": trial._trial_id}, "a trial came without its transaction"
                assert set(trial.params) == {"x"}

    @staticmethod
    def check_trial(trial: FrozenTrial, expected: dict[str, object]) -> None:
        reports = expected["reports"]
        assert isinstance(reports, dict)
        assert reports.items() <= trial.intermediate_values.items(), "an acknowledged report is lost"
        if "value" in expected:
            assert trial.state == TrialState.COMPLETE
            assert trial.value == expected["value"]


def test_nothing_acknowledged_is_lost_or_there_twice(database_url: str) -> None:
    seed = int(os.environ.get("NARROWS_TEST_SEED", time.time_ns() % 2**32))
    print(f"seed {seed}: set NARROWS_TEST_SEED to repeat it")
    numbers = random.Random(seed)
    expected = Expected()
    deleted: set[int] = set()
    n_acknowledged = 0
    for round_number in range(ROUNDS):
        pause = numbers.uniform(0.0, LONGEST_SECONDS)
        acknowledged = kill_after_a_while(database_url, seed + round_number, pause)
        n_acknowledged += len(acknowledged)
        expected.learn(acknowledged)
        deleted |= {owner_id for what, owner_id, _ in acknowledged if what == "deleted"}
        storage = GroupCommitStorage(database_url)
        expected.check(storage, deleted)
        storage.close()
    print(f"{n_acknowledged} acknowledged writes in {ROUNDS} rounds")
    assert n_acknowledged > ROUNDS, "the load was a load"


@pytest.fixture(autouse=True)
def forkserver_ends() -> Iterator[None]:
    """The helper process of multiprocessing is ours to end."""
    yield
    from multiprocessing import forkserver, resource_tracker

    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]
